// The matrix product of every instruction set of this CPU against plain loops in float64, and what
// goes with it.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "core/network/precision.hpp"
#include "kernels/dispatch.hpp"

namespace {

using namespace admrl;

std::size_t to_size(long n) { return static_cast<std::size_t>(n); }

std::vector<float> numbers(long n, unsigned seed) {
  std::vector<float> out(to_size(n));
  unsigned state = seed;
  for (float& x : out) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
  return out;
}

// Not-a-number is larger than anything: std::max would lose it.
double larger(double a, double b) { return b > a || std::isnan(b) ? b : a; }

float from_bf16(std::uint16_t x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

// One product of odd sizes with a row-major and c row-major, as a description that tests may
// change.
struct Case {
  Case(const Kernels& kernels, int m, int k, int panels)
      : n(panels * kernels.panel),
        a(numbers(long{m} * k, 1)),
        b(numbers(long{k} * n, 2)),
        bias(numbers(std::max(m, n), 3)),
        y(numbers(long{m} * n, 4)),
        c(numbers(long{m} * n, 5)),
        before(c) {
    q = {m,
         k,
         panels,
         a.data(),
         k,
         1,
         kernels.panel,
         b.data(),
         long{k} * kernels.panel,
         c.data(),
         n,
         kernels.panel,
         nullptr,
         ProductStart::zero,
         bias.data(),
         ProductEnd::none,
         y.data()};
  }

  double expected(int i, int j, int panel) const {
    const double at = before[to_size(long{i} * n + j)];
    double sum = 0.0;
    if (q.start == ProductStart::column_bias) sum = bias[to_size(j)];
    if (q.start == ProductStart::row_bias) sum = bias[to_size(i)];
    if (q.start == ProductStart::accumulate) sum = at;
    for (int l = 0; l < q.k; ++l) {
      sum += static_cast<double>(a[to_size(long{i} * q.k + l)]) *
             static_cast<double>(b[to_size(j / panel * q.b_panel + l * panel + j % panel)]);
    }
    const double value = y[to_size(long{i} * n + j)];
    switch (q.end) {
      case ProductEnd::tanh:
        return std::tanh(sum);
      case ProductEnd::relu:
        return std::max(sum, 0.0);
      case ProductEnd::tanh_slope:
        return sum * (1.0 - value * value);
      case ProductEnd::relu_slope:
        return value > 0.0 ? sum : 0.0;
      case ProductEnd::none:
        break;
    }
    return sum;
  }

  int n;
  std::vector<float> a, b, bias, y, c, before;
  Product q;
};

void test_against_float64(const Kernels& kernels) {
  for (const int m : {1, 5, 6, 13, 14, 29}) {
    for (const int k : {1, 7, 2 * kernels.panel + 3}) {
      for (const auto start : {ProductStart::zero, ProductStart::column_bias,
                               ProductStart::row_bias, ProductStart::accumulate}) {
        for (const auto end : {ProductEnd::none, ProductEnd::tanh, ProductEnd::relu,
                               ProductEnd::tanh_slope, ProductEnd::relu_slope}) {
          Case t(kernels, m, k, 2);
          t.q.start = start;
          t.q.end = end;
          kernels.product(t.q);
          double worst = 0.0;
          for (int i = 0; i < m; ++i) {
            for (int j = 0; j < t.n; ++j) {
              const double got = t.c[to_size(long{i} * t.n + j)];
              worst = larger(worst, std::abs(got - t.expected(i, j, kernels.panel)));
            }
          }
          CHECK(worst < 2e-6 * std::sqrt(k) + 1e-6);  // k roundings of sums of about sqrt(k)
        }
      }
    }
  }
}

void test_add_panels(const Kernels& kernels) {
  const int m = 5, panels = 3;
  const long size = long{m} * kernels.panel;
  const auto a = numbers(panels * size, 1), before = numbers(size, 2);
  auto sums = before;
  kernels.add_panels(a.data(), m, panels, sums.data());
  bool right = true;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    float sum = before[i];
    for (int p = 0; p < panels; ++p) sum += a[to_size(p * size) + i];
    right = right && sums[i] == sum;
  }
  CHECK(right);
}

// The same numbers whichever way a is stored, c is laid out, and the rows are cut.
void test_layouts_and_cuts_keep_the_bits(const Kernels& kernels) {
  const int m = 31, k = 2 * kernels.panel + 5;
  Case whole(kernels, m, k, 2);
  kernels.product(whole.q);

  Case cut(kernels, m, k, 2);
  for (int i = 0; i < m; i += 4) {
    Product q = cut.q;
    q.m = std::min(4, m - i);
    q.a += long{i} * k;
    q.c += long{i} * cut.n;
    kernels.product(q);
  }
  CHECK(cut.c == whole.c);

  Case transposed(kernels, m, k, 2);  // a stored (k, m)
  std::vector<float> columns(to_size(long{m} * k));
  for (int i = 0; i < m; ++i) {
    for (int l = 0; l < k; ++l)
      columns[to_size(long{l} * m + i)] = whole.a[to_size(long{i} * k + l)];
  }
  transposed.q.a = columns.data();
  transposed.q.a_row = 1;
  transposed.q.a_column = m;
  transposed.q.a_block = long{m} * kernels.panel;
  kernels.product(transposed.q);
  CHECK(transposed.c == whole.c);

  // a and c in panels: (panels, rows, panel)
  Case panels(kernels, m, k, 2);
  const int a_panels = (k + kernels.panel - 1) / kernels.panel;
  std::vector<float> blocks(to_size(long{a_panels} * m * kernels.panel));
  for (int i = 0; i < m; ++i) {
    for (int l = 0; l < k; ++l) {
      blocks[to_size((l / kernels.panel * long{m} + i) * kernels.panel + l % kernels.panel)] =
          whole.a[to_size(long{i} * k + l)];
    }
  }
  panels.q.a = blocks.data();
  panels.q.a_row = kernels.panel;
  panels.q.a_column = 1;
  panels.q.a_block = long{m} * kernels.panel;
  panels.q.c_row = kernels.panel;
  panels.q.c_panel = long{m} * kernels.panel;
  kernels.product(panels.q);
  bool same = true;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < whole.n; ++j) {
      const long at = (j / kernels.panel * long{m} + i) * kernels.panel + j % kernels.panel;
      same = same && panels.c[to_size(at)] == whole.c[to_size(long{i} * whole.n + j)];
    }
  }
  CHECK(same);
}

void test_bf16(const Kernels& kernels) {
  CHECK(std::string(kernels.isa).ends_with("bf16") == (kernels.pair_product != nullptr));
  if (kernels.pair_product == nullptr) return;
  const int m = 14, pairs = 37, panel = kernels.panel;
  Case t(kernels, m, 2 * pairs, 2);
  for (float& x : t.a) x = from_bf16(to_bf16(x));
  for (float& x : t.b) x = from_bf16(to_bf16(x));
  std::vector<std::uint32_t> a(to_size(long{m} * pairs)), b(to_size(2L * pairs * panel));
  const auto pair = [](float low, float high) {
    return to_bf16(low) | static_cast<std::uint32_t>(to_bf16(high)) << 16;
  };
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = pair(t.a[2 * i], t.a[2 * i + 1]);
  for (int p = 0; p < 2; ++p) {
    for (int l = 0; l < pairs; ++l) {
      for (int j = 0; j < panel; ++j) {
        const float* from = t.b.data() + p * t.q.b_panel + 2L * l * panel + j;
        b[to_size((long{p} * pairs + l) * panel + j)] = pair(from[0], from[panel]);
      }
    }
  }
  t.q.end = ProductEnd::relu;
  std::vector<std::uint16_t> rounded(t.c.size());
  const PairProduct q{m,          pairs,     2,
                      a.data(),   pairs,     1,
                      panel,      b.data(),  long{pairs} * panel,
                      t.c.data(), t.n,       panel,
                      nullptr,    t.q.start, t.q.bias,
                      t.q.end,    t.q.y};
  kernels.pair_product(q);
  PairProduct into_bf16 = q;
  into_bf16.c_bf16 = rounded.data();
  kernels.pair_product(into_bf16);
  double worst = 0.0;
  bool same = true;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < t.n; ++j) {
      const float got = t.c[to_size(long{i} * t.n + j)];
      worst = larger(worst, std::abs(static_cast<double>(got) - t.expected(i, j, panel)));
      same = same && rounded[to_size(long{i} * t.n + j)] == to_bf16(got);
    }
  }
  CHECK(worst < 2e-6 * std::sqrt(2.0 * pairs) + 1e-6);  // exact products, float32 sums
  CHECK(same);
}

void test_rounding_to_bf16() {
  // 1 + 2^-8 is half way between 1 and 1 + 2^-7, 1 + 3 · 2^-8 between that and 1 + 2^-6.
  CHECK(from_bf16(to_bf16(1.0F + 0x1p-8F)) == 1.0F);
  CHECK(from_bf16(to_bf16(1.0F + 0x3p-8F)) == 1.0F + 0x1p-6F);
  CHECK(from_bf16(to_bf16(1.0F + 0x1.8p-8F)) == 1.0F + 0x1p-7F);
  CHECK(from_bf16(to_bf16(-3.0F)) == -3.0F);
  CHECK(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001U)))));
  CHECK(bf16_pair(1.0F, -2.0F) == 0xc0003f80U);
  for (const Kernels* kernels : available_kernels()) {
    if (kernels->pair_neighbours == nullptr) continue;
    const auto x = numbers(101, 7);
    std::vector<std::uint32_t> pairs(51);
    kernels->pair_neighbours(x.data(), 101, pairs.data());
    for (std::size_t i = 0; i < 50; ++i) CHECK(pairs[i] == bf16_pair(x[2 * i], x[2 * i + 1]));
    CHECK(pairs[50] == bf16_pair(x[100], 0.0F));
  }
}

}  // namespace

int main() {
  test_rounding_to_bf16();
  for (const Kernels* kernels : available_kernels()) {
    test_against_float64(*kernels);
    test_add_panels(*kernels);
    test_layouts_and_cuts_keep_the_bits(*kernels);
    test_bf16(*kernels);
  }
  return admrl_test::failures != 0;
}
