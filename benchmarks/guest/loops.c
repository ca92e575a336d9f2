/* Loops that programs are made of. */
#include "linux.h"

static u8 bytes[1 << 16];
static u32 words[1 << 14];
static double matrix[3][64][64];
static u32 integers[3][64][64];
struct node {
  struct node *next;
  u64 value;
};
static struct node nodes[1 << 12];

static u32 state = 1;
static u32 next(void) { return state = state * 1664525u + 1013904223u; }

static u64 sieve(void) {
  u64 count = 0;
  for (u32 i = 2; i < sizeof bytes; i++) bytes[i] = 1;
  for (u32 i = 2; i < sizeof bytes; i++) {
    if (!bytes[i]) continue;
    count++;
    for (u32 j = 2 * i; j < sizeof bytes; j += i) bytes[j] = 0;
  }
  return count;
}

static void quicksort(u32 *a, long low, long high) {
  while (low < high) {
    u32 pivot = a[(low + high) >> 1];
    long i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) break;
      u32 t = a[i];
      a[i++] = a[j];
      a[j--] = t;
    }
    quicksort(a, low, j);
    low = i;
  }
}

static u64 sort(void) {
  for (int i = 0; i < 1 << 14; i++) words[i] = next();
  quicksort(words, 0, (1 << 14) - 1);
  return words[100];
}

static u64 matrix_integer(void) {
  for (int i = 0; i < 64; i++)
    for (int j = 0; j < 64; j++) {
      u32 sum = 0;
      for (int k = 0; k < 64; k++) sum += integers[0][i][k] * (integers[1][k][j] + k);
      integers[2][i][j] = sum;
    }
  return integers[2][5][7] + ++integers[0][3][3];
}

static u64 matrix_double(void) {
  for (int i = 0; i < 64; i++)
    for (int j = 0; j < 64; j++) {
      double sum = 0;
      for (int k = 0; k < 64; k++) sum += matrix[0][i][k] * (matrix[1][k][j] + k);
      matrix[2][i][j] = sum;
    }
  matrix[0][3][3] += 1.5;
  return (u64)matrix[2][5][7];
}

static u64 crc(void) {
  u32 value = ~0u;
  for (u32 i = 0; i < 1 << 13; i++) {
    value ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (0xedb88320u & -(value & 1));
  }
  return value;
}

static u32 rotate(u32 x, int by) { return x >> by | x << (32 - by); }

static u64 sha256(void) {
  static u32 h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int block = 0; block < 64; block++) {
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = ((u32 *)bytes)[block * 16 + i];
    for (int i = 16; i < 64; i++) {
      u32 a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      u32 b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    for (int i = 0; i < 8; i++) s[i] = h[i];
    for (int i = 0; i < 64; i++) {
      u32 a = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
      u32 t = s[7] + a + ((s[4] & s[5]) ^ (~s[4] & s[6])) + w[i] + i * 0x428a2f98u;
      u32 b = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
      u32 m = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
      for (int k = 7; k > 0; k--) s[k] = s[k - 1];
      s[4] += t;
      s[0] = t + b + m;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
  }
  return h[0];
}

static u64 compress(void) {
  u32 length = 0;
  for (u32 i = 0; i < 4096; i++) words[i] = 0;
  for (u32 at = 0; at + 4 < 1 << 14;) {
    u32 four = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16;
    u32 slot = four * 2654435761u >> 20, from = words[slot], same = 0;
    words[slot] = at;
    while (at + same + 4 < 1 << 14 && same < 255 && bytes[from + same] == bytes[at + same]) same++;
    length += same > 3 ? 3 : 1;
    at += same > 3 ? same : 1;
  }
  return length;
}

static u64 list(void) {
  u64 sum = 0;
  for (int i = 0; i < 16; i++)
    for (struct node *n = nodes; n; n = n->next) sum += n->value;
  return sum;
}

static u64 bytecode(void) {
  static const u8 program[] = {0, 1, 2, 3, 4, 1, 5, 2, 6, 0, 3, 1, 7};
  u64 a = 1, b = 2, count = 4000;
  for (u32 at = 0;;) {
    switch (program[at++]) {
      case 0: a += b; break;
      case 1: b ^= a; break;
      case 2: a = a * 31 + 7; break;
      case 3: b = b >> 3 | b << 61; break;
      case 4: a -= b >> 5; break;
      case 5: words[a & 1023] += (u32)b; break;
      case 6: b += words[b & 1023]; break;
      case 7:
        if (--count == 0) return a ^ b;
        at = 0;
    }
  }
}

static u64 bodies(void) {
  static double p[5][3] = {{0, 1, 2}, {3, 1, 0}, {-2, 4, 1}, {5, -3, 2}, {1, 1, -4}}, v[5][3];
  for (int step = 0; step < 200; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = 0; j < 5; j++) {
        double d[3], square = 0.01;
        for (int k = 0; k < 3; k++) {
          d[k] = p[j][k] - p[i][k];
          square += d[k] * d[k];
        }
        double force = 0.001 / (square * __builtin_sqrt(square));
        for (int k = 0; k < 3; k++) v[i][k] += d[k] * force;
      }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++) p[i][k] += 0.01 * v[i][k];
  }
  return (u64)(p[0][0] * 1e6);
}

static u64 fourier(void) {
  static double re[256], im[256];
  for (int i = 0; i < 256; i++) re[i] = i & 15, im[i] = 0;
  for (int half = 1; half < 256; half *= 2) {
    double wr = 1, wi = 0, c = 1 - 4.9348 / half / half / 2, s = 3.14159 / half;
    for (int j = 0; j < half; j++) {
      for (int i = j; i < 256; i += 2 * half) {
        double xr = re[i + half] * wr - im[i + half] * wi, xi = re[i + half] * wi + im[i + half] * wr;
        re[i + half] = re[i] - xr, im[i + half] = im[i] - xi;
        re[i] += xr, im[i] += xi;
      }
      double t = wr * c - wi * s;
      wi = wr * s + wi * c, wr = t;
    }
  }
  return (u64)(re[3] * 1000);
}

static void prepare(void) {
  for (u32 i = 0; i < sizeof bytes; i++) bytes[i] = next() >> 24 & (i & 64 ? 7 : 255);
  for (int i = 0; i < 64; i++)
    for (int j = 0; j < 64; j++) matrix[0][i][j] = i, matrix[1][i][j] = j, integers[0][i][j] = i;
  for (u32 i = 0; i < 1 << 12; i++) {
    nodes[i].value = i;
    nodes[(i * 1597) & 4095].next = i == 4095 ? 0 : &nodes[((i + 1) * 1597) & 4095];
  }
}

static loop *const list_of[] = {sieve, sort,     matrix_integer, crc,    sha256, compress,
                                list,  bytecode, matrix_double,  bodies, fourier};
