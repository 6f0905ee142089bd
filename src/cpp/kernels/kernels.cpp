// Compiled once per instruction set; see kernels.hpp for why nothing may be included or exported
// here.
//
// ADMRL_KERNEL_ISA: name of the instruction set. ADMRL_KERNEL_TABLE: name of the exported table.
// ADMRL_KERNEL_WIDTH: floats in one vector register. Vectors are written with the vector extensions
// of GCC and Clang, so that the code does not depend on what a compiler recognises as vectorisable.
#include "kernels/kernels.hpp"

#ifdef ADMRL_KERNEL_BF16
#include <immintrin.h>  // the compiler's own: nothing but inlined instructions
#endif

namespace admrl {
namespace {

#include "kernels/pairs.inl"
#include "kernels/product.inl"

void add_panels(const float* a, int m, int panels, float* sums) noexcept {
  const long size = static_cast<long>(m) * kPanel;
  for (long i = 0; i < size; i += kWidth) {
    Vec sum = load(sums + i);
    for (int p = 0; p < panels; ++p) sum += load(a + p * size + i);
    store(sums + i, sum);
  }
}

// Blocks * kWidth outputs at once. Four partial sums each hide the latency of the additions.
template <int Blocks>
inline void dense_block(const float* x, int in, const float* w, const float* b,
                        Activation activation, float* y) {
  constexpr int stride = Blocks * kWidth;
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

void dense(const float* x, int in, const float* w, const float* b, int out, Activation activation,
           float* y) noexcept {
  int j = 0;
  for (; j + 2 * kWidth <= out; j += 2 * kWidth) {
    dense_block<2>(x, in, w + static_cast<long>(j) * in, b + j, activation, y + j);
  }
  if (j < out) dense_block<1>(x, in, w + static_cast<long>(j) * in, b + j, activation, y + j);
}

// A plain loop, vectorised by the compiler: the vector extensions have no square root.
void adam(const float* __restrict grad, int n, const AdamStep& step, float* __restrict first,
          float* __restrict second, float* __restrict p) noexcept {
  const AdamStep s = step;
  for (int i = 0; i < n; ++i) {
    const float g = s.gradient_scale * grad[i];
    const float m = s.beta1 * first[i] + (1.0f - s.beta1) * g;
    const float v = s.beta2 * second[i] + (1.0f - s.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    p[i] -= s.rate * m / (__builtin_sqrtf(v) * s.root_scale + s.epsilon);
  }
}

double decay(const float* grad, const float* w, int n, float weight_decay,
             float* decayed) noexcept {
  DoubleVec squares = {};
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Vec g = load(grad + i) + weight_decay * load(w + i);
    store(decayed + i, g);
    const DoubleVec wide = __builtin_convertvector(g, DoubleVec);
    squares += wide * wide;
  }
  double sum = 0.0;
  for (int j = 0; j < kWidth; ++j) sum += squares[j];
  for (; i < n; ++i) {
    const float g = grad[i] + weight_decay * w[i];
    decayed[i] = g;
    sum += static_cast<double>(g) * static_cast<double>(g);
  }
  return sum;
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
const Kernels ADMRL_KERNEL_TABLE = {
    ADMRL_KERNEL_ISA, kWidth,     kPanel, kTileRows, product, pair_product, pair_neighbours,
    pair_rows,        add_panels, dense,  adam,      decay,   tanh_array};

}  // namespace admrl
