// The value fit on cases that can be done by hand; the comparison with torch is in Python.
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/update/value_fit.hpp"

namespace {

using namespace admrl;

std::vector<double> fit(std::span<const TrainedLayer> layers, const ValueData& data, int minibatch,
                        const AdamSettings& adam) {
  ValueFit job({layers.begin(), layers.end()}, 0, data, minibatch, adam);
  ThreadPool pool(1);
  job.run(pool);
  return job.losses();
}

void test_one_step() {
  // V = 2 x0 - x1 + 1 at (1, 3) is 0; target 4: the gradient is -4 (1, 3), -4. With beta1 = 0 the
  // first moment is the gradient, and Adam's first step has the length of the rate in every entry.
  std::array<float, 2> w{2, -1}, m{}, v{};
  float b = 1, mb = 0, vb = 0;
  const TrainedLayer layers[] = {
      {{w.data(), &b, 2, 1}, {m.data(), &mb, 2, 1}, {v.data(), &vb, 2, 1}}};
  const float x[] = {1, 3}, targets[] = {4};
  const std::int64_t order[] = {0};
  const auto losses = fit(layers, {x, targets, order}, 5, {0.25, 0.0, 0.5, 0.0});
  CHECK((losses == std::vector<double>{8}));
  CHECK((m == std::array<float, 2>{-4, -12}) && mb == -4);
  CHECK((v == std::array<float, 2>{8, 72}) && vb == 8);
  // The root of 1 / (1 - beta2) is rounded to float32, and so is its product with the root of v.
  CHECK(std::abs(w[0] - 2.25f) < 1e-6f && std::abs(w[1] + 0.75f) < 1e-6f);
  CHECK(std::abs(b - 1.25f) < 1e-6f);
}

void test_odd_sizes() {
  // 13 samples in minibatches of 5, layers that fill no vector: for the sanitizers.
  constexpr std::size_t rows = 13;
  std::vector<float> w1(3 * 5), b1(5), w2(5), b2(1), zeros1(3 * 5), zeros2(3 * 5);
  std::vector<float> zb1(5), zb2(5), zw1(5), zw2(5), zc1(1), zc2(1);
  for (std::size_t i = 0; i < w1.size(); ++i) w1[i] = 0.1f * static_cast<float>(i % 7) - 0.3f;
  for (std::size_t i = 0; i < w2.size(); ++i) w2[i] = 0.2f * static_cast<float>(i) - 0.4f;
  const TrainedLayer layers[] = {{{w1.data(), b1.data(), 3, 5},
                                  {zeros1.data(), zb1.data(), 3, 5},
                                  {zeros2.data(), zb2.data(), 3, 5}},
                                 {{w2.data(), b2.data(), 5, 1},
                                  {zw1.data(), zc1.data(), 5, 1},
                                  {zw2.data(), zc2.data(), 5, 1}}};
  std::vector<float> x(rows * 3), targets(rows);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1f * static_cast<float>(i % 11) - 0.5f;
  for (std::size_t i = 0; i < rows; ++i) targets[i] = 1.0f + x[3 * i];
  std::vector<std::int64_t> order;
  for (std::size_t i = 0; i < 200 * rows; ++i) order.push_back(static_cast<std::int64_t>(i % rows));
  const auto losses = fit(layers, {x, targets, order}, 5, {1e-2, 0.9, 0.999, 1e-8});
  CHECK(losses.size() == 200);
  CHECK(losses.back() < 0.01 * losses.front());

  std::vector<std::int64_t> outside{rows};
  outside.resize(rows);
  CHECK_THROWS(fit(layers, {x, targets, outside}, 5, {}), InvalidInput);
  CHECK_THROWS(fit(layers, {x, targets, order}, 0, {}), InvalidInput);
  CHECK_THROWS(fit({}, {x, targets, order}, 5, {}), InvalidInput);
}

}  // namespace

int main() {
  test_one_step();
  test_odd_sizes();
  return admrl_test::failures != 0;
}
