// The kernels of every instruction set of this CPU, and the packed network, in isolation.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/network/mlp.hpp"
#include "kernels/dispatch.hpp"

namespace {

using namespace admrl;

// Distance to the exact value, in units in the last place of its float.
double ulps(float value, double exact) {
  const float near = std::abs(static_cast<float>(exact));
  const double unit = static_cast<double>(std::nextafter(near, 2.0f)) - static_cast<double>(near);
  return std::abs(static_cast<double>(value) - exact) / unit;
}

void test_tanh(const Kernels& k) {
  // Every 499th float from the smallest normal one to 16: all exponents, ten thousands of
  // mantissas.
  std::vector<float> x;
  std::uint32_t bits = 0;
  const float first = std::numeric_limits<float>::min();
  std::memcpy(&bits, &first, sizeof bits);
  for (;; bits += 499) {
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (value > 16.0f) break;
    x.push_back(value);
    x.push_back(-value);
  }
  std::vector<float> y(x.size());
  k.tanh(x.data(), static_cast<int>(x.size()), y.data());
  double worst = 0.0;
  bool odd = true, bounded = true;
  for (std::size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, ulps(y[i], std::tanh(static_cast<double>(x[i]))));
    bounded = bounded && std::abs(y[i]) <= 1.0f;
    if (i % 2 == 1) odd = odd && y[i] == -y[i - 1];
  }
  std::printf("%s: tanh within %.2f units in the last place\n", k.isa, worst);
  // Two quartic polynomials, a division and a product: about 6 with separate roundings, 5.3 fused.
  CHECK(worst < 7.0);
  CHECK(odd);
  CHECK(bounded);

  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, infinity, -infinity, std::nanf(""), 1e-40f, 100.0f};
  float out[7];
  k.tanh(special, 7, out);
  CHECK(out[0] == 0.0f && !std::signbit(out[0]));
  CHECK(out[1] == 0.0f && std::signbit(out[1]));
  CHECK(out[2] == 1.0f && out[3] == -1.0f);
  CHECK(std::isnan(out[4]));
  CHECK(out[5] == 1e-40f);
  CHECK(out[6] == 1.0f);
}

void test_dense(const Kernels& k) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const int in : {1, 3, 4, 5, 35}) {
    for (int out = k.width; out <= 5 * k.width; out += k.width) {
      std::vector<float> x(static_cast<std::size_t>(in)), w(static_cast<std::size_t>(in * out)),
          b(static_cast<std::size_t>(out)), y(static_cast<std::size_t>(out) + 1, -7.0f);
      for (auto* v : {&x, &w, &b}) {
        for (float& e : *v) e = normal(random);
      }
      k.dense(x.data(), in, w.data(), b.data(), out, Activation::none, y.data());
      CHECK(y.back() == -7.0f);  // nothing is written past the end
      for (int j = 0; j < out; ++j) {
        const int first = j / k.panel * k.panel;
        const int columns = std::min(k.panel, out - first);
        double sum = static_cast<double>(b[static_cast<std::size_t>(j)]);
        double size = std::abs(sum);
        for (int i = 0; i < in; ++i) {
          const double term =
              static_cast<double>(x[static_cast<std::size_t>(i)]) *
              static_cast<double>(
                  w[static_cast<std::size_t>(first * in + i * columns + j - first)]);
          sum += term;
          size += std::abs(term);
        }
        // One rounding (6e-8) for each of at most 36 additions and 35 products.
        CHECK(std::abs(static_cast<double>(y[static_cast<std::size_t>(j)]) - sum) <= 5e-6 * size);
      }
    }
  }
}

void test_packed() {
  // relu(2 x0 - x1, x0 + x1 + 1), then their difference; small integers are exact.
  const float w1[] = {2, -1, 1, 1}, b1[] = {0, 1}, w2[] = {1, -1}, b2[] = {0.5f};
  const MlpLayer layers[] = {{w1, b1, 2, 2}, {w2, b2, 2, 1}};
  const PackedMlp mlp(layers, Activation::relu);
  CHECK(mlp.in_dim() == 2 && mlp.out_dim() == 1);
  std::vector<float> scratch(static_cast<std::size_t>(mlp.scratch_size()));
  const float x[] = {3, 1}, far[] = {-3, 1};
  float y = 0;
  mlp.forward(x, &y, scratch.data());
  CHECK(y == 5.0f - 5.0f + 0.5f);
  mlp.forward(far, &y, scratch.data());
  CHECK(y == 0.5f);

  CHECK_THROWS(PackedMlp({}, Activation::tanh), InvalidInput);
  const MlpLayer broken[] = {{w1, b1, 2, 2}, {w2, b2, 1, 1}};
  CHECK_THROWS(PackedMlp(broken, Activation::tanh), InvalidInput);
  const MlpLayer empty[] = {{w1, b1, 0, 2}};
  CHECK_THROWS(PackedMlp(empty, Activation::tanh), InvalidInput);
}

}  // namespace

int main() {
  for (const Kernels* k : available_kernels()) {
    test_tanh(*k);
    test_dense(*k);
  }
  test_packed();
  return admrl_test::failures != 0;
}
