-- Machine code that is written, run, and written over: by another function, and by itself.
local ffi = require("ffi")
ffi.cdef("void *mmap(void *, size_t, int, int, int, long); int mprotect(void *, size_t, int);")
local page = ffi.cast("uint8_t *", ffi.C.mmap(nil, 8192, 7, 0x22, -1, 0))

local function put(at, hex)
  for byte in hex:gmatch("%x%x") do
    page[at] = tonumber(byte, 16)
    at = at + 1
  end
end

-- mov eax, IMMEDIATE; ret
put(0, "b8 00000000 c3")
local constant = ffi.cast("uint32_t (*)(void)", page)
local immediate = ffi.cast("uint32_t *", page + 1)
local sum = 0
for i = 1, 20000 do
  -- Long runs of the same code, so that it gets hot, and a change at each call.
  if i % 3 == 0 or i > 15000 then immediate[0] = i * 200000 end
  sum = (sum + constant()) % 4294967296
end
print(sum)

-- mov ecx, edi; xor eax, eax; again: add eax, ONE; inc byte [ONE]; dec ecx; jnz again; ret
put(64, "89f9 31c0 83c001 fe05f9ffffff ffc9 75f3 c3")
local growing = ffi.cast("uint32_t (*)(uint32_t)", page + 64)
local results = {}
for i = 1, 200 do
  page[64 + 6] = i % 100
  results[i] = growing(20 + i % 7)
end
sum = 0
for i = 1, 200 do sum = sum * 31 % 1000003 + results[i] end
print(results[1], results[100], sum)

-- The same place made not executable and executable again, with another function in it.
local versions = 0
for i = 1, 300 do
  ffi.C.mprotect(page, 4096, 3)
  put(128, i % 2 == 0 and "8d4701 c3 90" or "8d7f05 89f8 c3")
  ffi.C.mprotect(page, 4096, 5)
  versions = versions + ffi.cast("uint32_t (*)(uint32_t)", page + 128)(i)
  ffi.C.mprotect(page, 4096, 7)
end
print(versions)
