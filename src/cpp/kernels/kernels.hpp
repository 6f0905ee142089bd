// The compute kernels: one table of functions per instruction set, chosen once at run time.
//
// kernels.cpp is compiled once per instruction set. The linker keeps one copy of every inline
// function of the program, possibly the one compiled for a CPU that the user has not: so
// kernels.cpp includes no library header, keeps all it defines in an anonymous namespace, and
// exports its table alone.
#pragma once

namespace admrl {

enum class KernelActivation { none, tanh, relu };

// The constants of one step; `rate` and `root_scale` hold the bias corrections.
struct AdamStep {
  float beta1;
  float beta2;
  float rate;
  float root_scale;
  float epsilon;
};

struct Kernels {
  const char* isa;  // "generic", "x86-64-v2", ...
  int width;        // layer widths are padded to a multiple of this

  // y (out) = activation(x (in) · w (in, out) + b (out)); out is a multiple of `width`.
  void (*dense)(const float* x, int in, const float* w, const float* b, int out,
                KernelActivation activation, float* y) noexcept;
  // c (m, n) = activation(a (m, k) · b (k, n) + bias (n)), n a multiple of `width`, b and c
  // row-major with n columns. a(i, j) is at a[i * row_step + j * column_step]. bias may be null.
  void (*gemm)(const float* a, long row_step, long column_step, const float* b, const float* bias,
               int m, int n, int k, KernelActivation activation, float* c) noexcept;
  // delta (n) *= 1 - y (n)², the derivative of tanh where its value is y.
  void (*tanh_gradient)(const float* y, int n, float* delta) noexcept;
  // One step of Adam on n parameters: first and second moments, then
  // p -= rate · first / (sqrt(second) · root_scale + epsilon).
  void (*adam)(const float* grad, int n, const AdamStep& step, float* first, float* second,
               float* p) noexcept;
  // y (n) = tanh(x (n)), a few units in the last place off (see test_mlp.cpp); NaN stays NaN.
  void (*tanh)(const float* x, int n, float* y) noexcept;
};

}  // namespace admrl
