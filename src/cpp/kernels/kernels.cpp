// Compiled once per instruction set; see kernels.hpp for why nothing may be included or exported
// here.
//
// ADMRL_KERNEL_ISA: name of the instruction set. ADMRL_KERNEL_TABLE: name of the exported table.
// ADMRL_KERNEL_WIDTH: floats in one vector register. Vectors are written with the vector extensions
// of GCC and Clang, so that the code does not depend on what a compiler recognises as vectorisable.
#include "kernels/kernels.hpp"

namespace admrl {
namespace {

constexpr int kWidth = ADMRL_KERNEL_WIDTH;

typedef float Vec __attribute__((vector_size(4 * kWidth)));
typedef float UnalignedVec __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
inline Vec splat(float x) { return x - Vec{}; }

// x P(x²) / Q(x²), a minimax fit of the relative error (2.3e-8) on [-9.02, 9.02], where tanh rounds
// to 1. All coefficients are positive, so rounding errors do not grow: a few units in the last
// place. Comparisons are written so that NaN stays NaN.
inline Vec tanh_vec(Vec x) {
  constexpr float limit = 9.02f;
  x = x > limit ? splat(limit) : x;
  x = x < -limit ? splat(-limit) : x;
  const Vec u = x * x;
  Vec p = u * 1.338185308e-8f + 2.063419551e-5f;
  p = p * u + 3.497366401e-3f;
  p = p * u + 0.1338261354f;
  p = p * u + 1.0f;
  Vec q = u * 7.789287589e-7f + 3.288362344e-4f;
  q = q * u + 2.588402309e-2f;
  q = q * u + 0.4671593492f;
  q = q * u + 1.0f;
  Vec y = x * (p / q);
  y = y > 1.0f ? splat(1.0f) : y;
  return y < -1.0f ? splat(-1.0f) : y;
}

inline Vec activate(Vec x, KernelActivation activation) {
  switch (activation) {
    case KernelActivation::tanh:
      return tanh_vec(x);
    case KernelActivation::relu:
      return x < 0.0f ? Vec{} : x;
    case KernelActivation::none:
      break;
  }
  return x;
}

// Blocks * kWidth outputs at once. Four partial sums each hide the latency of the additions.
template <int Blocks>
inline void dense_block(const float* x, int in, const float* w, const float* b, int stride,
                        KernelActivation activation, float* y) {
  Vec sum[4][Blocks];
  for (int j = 0; j < Blocks; ++j) {
    sum[0][j] = load(b + j * kWidth);
    sum[1][j] = sum[2][j] = sum[3][j] = Vec{};
  }
  int k = 0;
  for (; k + 4 <= in; k += 4) {
    for (int s = 0; s < 4; ++s) {
      const float* row = w + static_cast<long>(k + s) * stride;
      for (int j = 0; j < Blocks; ++j) sum[s][j] += x[k + s] * load(row + j * kWidth);
    }
  }
  for (; k < in; ++k) {
    const float* row = w + static_cast<long>(k) * stride;
    for (int j = 0; j < Blocks; ++j) sum[0][j] += x[k] * load(row + j * kWidth);
  }
  for (int j = 0; j < Blocks; ++j) {
    const Vec total = (sum[0][j] + sum[1][j]) + (sum[2][j] + sum[3][j]);
    store(y + j * kWidth, activate(total, activation));
  }
}

void dense(const float* x, int in, const float* w, const float* b, int out,
           KernelActivation activation, float* y) noexcept {
  int j = 0;
  for (; j + 2 * kWidth <= out; j += 2 * kWidth) {
    dense_block<2>(x, in, w + j, b + j, out, activation, y + j);
  }
  if (j < out) dense_block<1>(x, in, w + j, b + j, out, activation, y + j);
}

// Rows by Blocks * kWidth elements of a matrix product, held in registers.
template <int Rows, int Blocks>
inline void gemm_block(const float* a, long row_step, long column_step, const float* b,
                       const float* bias, int n, int k, KernelActivation activation, float* c) {
  Vec sum[Rows][Blocks];
  for (int j = 0; j < Blocks; ++j) {
    const Vec start = bias ? load(bias + j * kWidth) : Vec{};
    for (int i = 0; i < Rows; ++i) sum[i][j] = start;
  }
  for (int l = 0; l < k; ++l) {
    Vec row[Blocks];
    for (int j = 0; j < Blocks; ++j) row[j] = load(b + static_cast<long>(l) * n + j * kWidth);
    for (int i = 0; i < Rows; ++i) {
      const float factor = a[i * row_step + l * column_step];
      for (int j = 0; j < Blocks; ++j) sum[i][j] += factor * row[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Blocks; ++j) {
      store(c + static_cast<long>(i) * n + j * kWidth, activate(sum[i][j], activation));
    }
  }
}

template <int Rows>
inline void gemm_rows(const float* a, long row_step, long column_step, const float* b,
                      const float* bias, int n, int k, KernelActivation activation, float* c) {
  int j = 0;
  for (; j + 2 * kWidth <= n; j += 2 * kWidth) {
    gemm_block<Rows, 2>(a, row_step, column_step, b + j, bias ? bias + j : bias, n, k, activation,
                        c + j);
  }
  if (j < n) {
    gemm_block<Rows, 1>(a, row_step, column_step, b + j, bias ? bias + j : bias, n, k, activation,
                        c + j);
  }
}

void gemm(const float* a, long row_step, long column_step, const float* b, const float* bias, int m,
          int n, int k, KernelActivation activation, float* c) noexcept {
  int i = 0;
  for (; i + 4 <= m; i += 4) {
    gemm_rows<4>(a + i * row_step, row_step, column_step, b, bias, n, k, activation,
                 c + static_cast<long>(i) * n);
  }
  for (; i < m; ++i) {
    gemm_rows<1>(a + i * row_step, row_step, column_step, b, bias, n, k, activation,
                 c + static_cast<long>(i) * n);
  }
}

void tanh_gradient(const float* y, int n, float* delta) noexcept {
  for (int i = 0; i < n; ++i) delta[i] *= 1.0f - y[i] * y[i];
}

// A plain loop, vectorised by the compiler: the vector extensions have no square root.
void adam(const float* __restrict grad, int n, const AdamStep& step, float* __restrict first,
          float* __restrict second, float* __restrict p) noexcept {
  const AdamStep s = step;
  for (int i = 0; i < n; ++i) {
    const float g = grad[i];
    const float m = s.beta1 * first[i] + (1.0f - s.beta1) * g;
    const float v = s.beta2 * second[i] + (1.0f - s.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    p[i] -= s.rate * m / (__builtin_sqrtf(v) * s.root_scale + s.epsilon);
  }
}

void tanh_array(const float* x, int n, float* y) noexcept {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, tanh_vec(load(x + i)));
  if (i < n) {
    float tail[kWidth] = {};
    for (int j = i; j < n; ++j) tail[j - i] = x[j];
    store(tail, tanh_vec(load(tail)));
    for (int j = i; j < n; ++j) y[j] = tail[j - i];
  }
}

}  // namespace

extern const Kernels ADMRL_KERNEL_TABLE;
const Kernels ADMRL_KERNEL_TABLE = {ADMRL_KERNEL_ISA, kWidth, dense,     gemm,
                                    tanh_gradient,    adam,   tanh_array};

}  // namespace admrl
