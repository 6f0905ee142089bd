// The compute kernels: one table of functions per instruction set, chosen once at run time.
//
// kernels.cpp is compiled once per instruction set. The linker keeps one copy of every inline
// function of the program, possibly the one compiled for a CPU that the user has not: so
// kernels.cpp includes no library header, keeps all it defines in an anonymous namespace, and
// exports its table alone.
#pragma once

namespace admrl {

enum class Activation { none, tanh, relu };

// The constants of one step; `rate` and `root_scale` hold the bias corrections.
struct AdamStep {
  float beta1;
  float beta2;
  float rate;
  float root_scale;
  float epsilon;
  float gradient_scale = 1.0f;
};

enum class ProductStart { zero, column_bias, row_bias, accumulate };
// The slopes: times the derivative of tanh or ReLU where its value is y.
enum class ProductEnd { none, tanh, relu, tanh_slope, relu_slope };

// c (m, n) = end(start + a (m, k) · b (k, n)). Columns come in panels of Kernels::panel = 2 width:
// n = panels · panel. An Element is a float32, or a pair of bfloat16 that follow one another in k
// (the earlier one in the low half): k then counts pairs.
template <class Element>
struct ProductOf {
  int m, k, panels;
  // a(i, l) at a[i · a_row + (l / panel) · a_block + (l % panel) · a_column].
  const Element* a;
  long a_row, a_column, a_block;
  // b(l, p · panel + j) at b[p · b_panel + l · panel + j].
  const Element* b;
  long b_panel;
  // c(i, p · panel + j) at c[i · c_row + p · c_panel + j]; instead of c, if it is not null, c_bf16
  // gets the result, rounded to the nearest bfloat16 (not with ProductStart::accumulate).
  float* c;
  long c_row, c_panel;
  unsigned short* c_bf16;
  ProductStart start;
  const float* bias;  // (n) or (m), as `start` says
  ProductEnd end;
  const float* y;  // at the same places as c; for the slopes
};
using Product = ProductOf<float>;
using PairProduct = ProductOf<unsigned>;

inline constexpr int kWidestPanel = 64;  // of any instruction set

struct Kernels {
  const char* isa;  // "generic", "x86-64-v2", ...
  int width;        // layer widths are padded to a multiple of this
  int panel;        // columns of a panel of `product`
  int tile_rows;    // rows that `product` keeps in registers: it is best at multiples of them

  // The sums run over l in order: the bits of an element of c depend on nothing but its row of a
  // and its column of b.
  void (*product)(const Product&) noexcept;
  // The same on bfloat16 with float32 sums; null where the instruction set has none. (c_bf16 asks
  // for it in `product`, too.)
  void (*pair_product)(const PairProduct&) noexcept;
  // Its operands, null where it is: pairs[j] = (x[2 j], x[2 j + 1]), an odd n filled up with a 0;
  // and pairs[j] = (low[j], high[j]), high null for zeros.
  void (*pair_neighbours)(const float* x, int n, unsigned* pairs) noexcept;
  void (*pair_rows)(const float* low, const float* high, int n, unsigned* pairs) noexcept;

  // sums (m, panel) += the sum over panels of a (panels, m, panel).
  void (*add_panels)(const float* a, int m, int panels, float* sums) noexcept;

  // y (out) = activation(x (in) · w (in, out) + b (out)); out is a multiple of `width`. Columns of
  // w come in panels, the last one maybe of half the width: column j of the panel that begins with
  // column p, c columns wide, has w(i, p + j) at w[p · in + i · c + j].
  void (*dense)(const float* x, int in, const float* w, const float* b, int out,
                Activation activation, float* y) noexcept;
  // One step of Adam on n parameters and gradient_scale · grad: first and second moments, then
  // p -= rate · first / (sqrt(second) · root_scale + epsilon).
  void (*adam)(const float* grad, int n, const AdamStep& step, float* first, float* second,
               float* p) noexcept;
  // decayed (n) = grad (n) + weight_decay · w (n), and the sum of its squares. `decayed` may begin
  // at `grad` or anywhere before it.
  double (*decay)(const float* grad, const float* w, int n, float weight_decay,
                  float* decayed) noexcept;
  // y (n) = tanh(x (n)), a few units in the last place off (see test_mlp.cpp); NaN stays NaN.
  void (*tanh)(const float* x, int n, float* y) noexcept;
};

}  // namespace admrl
