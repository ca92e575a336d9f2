/** The most bytes that one call carries; longer files go in several calls. */
export const LARGEST_CHUNK = 1_048_576;
/** The most items that one answer holds. */
export const LARGEST_PAGE = 500;
