// The matrix product, one tile of c at a time in registers. Included inside the anonymous namespace
// of kernels.cpp.
//
// Every element of c is the sum over l in order, each step one multiplication and one addition (one
// fused operation where the processor has it): its bits depend neither on the tile it falls into
// nor on how the work is cut.

#include "kernels/vec.inl"

constexpr int kPanel = 2 * kWidth;
#if ADMRL_KERNEL_WIDTH == 16
constexpr int kTileRows = 13;  // 13 x 2 sums, 2 of b, 1 of a: 29 of 32 registers
#else
constexpr int kTileRows = 6;  // 6 x 2 sums, 2 of b, 1 of a: 15 of 16 registers
#endif

// What one step over l adds to the sums, for float32 and for pairs of bfloat16.
struct FloatStep {
  using Register = Vec;
  static Register load_b(const float* p) { return load(p); }
  static void add(Vec& sum, float a, Register b) { sum += a * b; }
};

#ifdef ADMRL_KERNEL_BF16
struct PairStep {
  using Register = __m512bh;
  static Register load_b(const unsigned* p) { return (__m512bh)_mm512_loadu_si512(p); }
  static void add(Vec& sum, unsigned a, Register b) {
    sum = (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), b);
  }
};

inline void store_bf16(unsigned short* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh((__m512)v));
}
#else
inline void store_bf16(unsigned short*, Vec) {}  // never called: the table has no bfloat16 product
#endif

// Sums stay in registers as long as everything that touches them is written out in one function.
#define ADMRL_INLINED __attribute__((always_inline))

// f(0), f(1), ... f(N - 1).
template <int N, class F>
ADMRL_INLINED inline void unrolled(const F& f) {
  if constexpr (N > 0) {
    unrolled<N - 1>(f);
    f(N - 1);
  }
}

// The sums of a tile: of a row, the two halves of a panel.
template <int Rows>
struct Tile {
  Vec sum[Rows][2];

  // sum[i][j] = f(i, j)
  template <class F>
  ADMRL_INLINED void set(const F& f) {
    unrolled<Rows>([&](int i) ADMRL_INLINED {
      sum[i][0] = f(i, 0);
      sum[i][1] = f(i, 1);
    });
  }
};

template <int Rows, class Element>
ADMRL_INLINED inline void begin_tile(const ProductOf<Element>& q, int row, int p, long first,
                                     Tile<Rows>& t) {
  switch (q.start) {
    case ProductStart::column_bias: {
      const Vec half[2] = {load(q.bias + p * kPanel), load(q.bias + p * kPanel + kWidth)};
      return t.set([&](int, int j) ADMRL_INLINED { return half[j]; });
    }
    case ProductStart::row_bias: {
      const float* bias = q.bias + row;
      return t.set([&](int i, int) ADMRL_INLINED { return splat(bias[i]); });
    }
    case ProductStart::accumulate: {
      const float* c = q.c + first;
      const long c_row = q.c_row;
      return t.set([&](int i, int j) ADMRL_INLINED { return load(c + i * c_row + j * kWidth); });
    }
    case ProductStart::zero:
      break;
  }
  t.set([](int, int) ADMRL_INLINED { return Vec{}; });
}

template <class Element>
inline void put(const ProductOf<Element>& q, long at, Vec v) {
  if (q.c_bf16 != nullptr) {
    store_bf16(q.c_bf16 + at, v);
  } else {
    store(q.c + at, v);
  }
}

template <int Rows, class Element>
ADMRL_INLINED inline void store_tile(const ProductOf<Element>& q, long first, const Tile<Rows>& t) {
  const long c_row = q.c_row;
  if (q.c_bf16 != nullptr) {
    unsigned short* c = q.c_bf16 + first;
    unrolled<Rows>([&](int i) ADMRL_INLINED {
      store_bf16(c + i * c_row, t.sum[i][0]);
      store_bf16(c + i * c_row + kWidth, t.sum[i][1]);
    });
  } else {
    float* c = q.c + first;
    unrolled<Rows>([&](int i) ADMRL_INLINED {
      store(c + i * c_row, t.sum[i][0]);
      store(c + i * c_row + kWidth, t.sum[i][1]);
    });
  }
}

template <int Rows, class Element>
ADMRL_INLINED inline void end_tile(const ProductOf<Element>& q, long first, Tile<Rows>& t) {
  const long c_row = q.c_row;
  switch (q.end) {
    case ProductEnd::tanh: {  // too long to be written out for every sum
      Vec sums[2 * Rows];
      unrolled<Rows>([&](int i) ADMRL_INLINED {
        sums[2 * i] = t.sum[i][0];
        sums[2 * i + 1] = t.sum[i][1];
      });
      for (int i = 0; i < 2 * Rows; ++i) {
        put(q, first + i / 2 * c_row + i % 2 * kWidth, tanh_vec(sums[i]));
      }
      return;
    }
    case ProductEnd::relu:
      t.set([&](int i, int j) ADMRL_INLINED { return t.sum[i][j] < 0.0f ? Vec{} : t.sum[i][j]; });
      break;
    case ProductEnd::tanh_slope:
      t.set([&](int i, int j) ADMRL_INLINED {
        const Vec value = load(q.y + first + i * c_row + j * kWidth);
        return t.sum[i][j] * (1.0f - value * value);
      });
      break;
    case ProductEnd::relu_slope:
      t.set([&](int i, int j) ADMRL_INLINED {
        return load(q.y + first + i * c_row + j * kWidth) > 0.0f ? t.sum[i][j] : Vec{};
      });
      break;
    case ProductEnd::none:
      break;
  }
  store_tile(q, first, t);
}

// Rows of a from `row` on, times panel p of b.
template <class Step, int Rows, class Element>
inline void product_tile(const ProductOf<Element>& q, int row, int p) {
  const long first = row * q.c_row + p * q.c_panel;
  Tile<Rows> t;
  begin_tile(q, row, p, first, t);
  const Element* b = q.b + p * q.b_panel;
  const Element* block = q.a + row * q.a_row;
  const long a_row = q.a_row, a_column = q.a_column;
  for (int l0 = 0; l0 < q.k; l0 += kPanel, block += q.a_block) {
    const int count = q.k - l0 < kPanel ? q.k - l0 : kPanel;
    const Element* a = block;
    for (int l = 0; l < count; ++l, a += a_column, b += kPanel) {
      const typename Step::Register b0 = Step::load_b(b), b1 = Step::load_b(b + kWidth);
      unrolled<Rows>([&](int i) ADMRL_INLINED {
        Step::add(t.sum[i][0], a[i * a_row], b0);
        Step::add(t.sum[i][1], a[i * a_row], b1);
      });
    }
  }
  end_tile(q, first, t);
}

template <class Step, int Rows, class Element>
inline void product_rows(const ProductOf<Element>& q, int rows, int row, int p) {
  if (rows == Rows) {
    product_tile<Step, Rows>(q, row, p);
  } else if constexpr (Rows > 1) {
    product_rows<Step, Rows - 1>(q, rows, row, p);
  }
}

template <class Step, class Element>
inline void product_all(const ProductOf<Element>& q) {
  const int tiles = (q.m + kTileRows - 1) / kTileRows;
  for (int p = 0; p < q.panels; ++p) {
    for (int t = 0; t < tiles; ++t) {  // of nearly equal height: none is nearly empty
      const int row = static_cast<int>(static_cast<long>(q.m) * t / tiles);
      const int next = static_cast<int>(static_cast<long>(q.m) * (t + 1) / tiles);
      product_rows<Step, kTileRows>(q, next - row, row, p);
    }
  }
}

void product(const Product& q) noexcept { product_all<FloatStep>(q); }
#ifdef ADMRL_KERNEL_BF16
void pair_product(const PairProduct& q) noexcept { product_all<PairStep>(q); }
#else
constexpr void (*pair_product)(const PairProduct&) noexcept = nullptr;
#endif
