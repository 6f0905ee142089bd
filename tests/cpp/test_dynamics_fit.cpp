// The dynamics fit on cases that can be done by hand; the comparison with torch is in Python.
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "check.hpp"
#include "core/error.hpp"
#include "core/update/dynamics_fit.hpp"
#include "kernels/dispatch.hpp"

namespace {

using namespace admrl;

bool close(double a, double b) { return std::abs(a - b) < 1e-6; }

// D = A = 1 and one linear layer: y = 2 x0 - x1 + 1.
struct Small {
  std::array<float, 2> w{2, -1}, m{}, v{};
  float b = 1, mb = 0, vb = 0;
  TrainedLayer layers[1] = {{{w.data(), &b, 2, 1}, {m.data(), &mb, 2, 1}, {v.data(), &vb, 2, 1}}};
  // s, a, s'. The first: x = ((1 + 1) / 2, clip(3)) = (1, 1), target ((4 - 1) - 1) / 2 = 1, y = 2.
  // The second: x = (0, -1), target 2 = y: no error, no gradient.
  std::array<float, 6> rows{1, 3, 4, -1, -1, 4};
  float obs_mean = -1, obs_std = 2, difference_mean = 1, difference_std = 2;

  double fit(std::vector<std::int64_t> order, int batch, double max_grad_norm) {
    ThreadPool pool(1);
    const DynamicsData data{
        rows, order, {&obs_mean, 1}, {&obs_std, 1}, {&difference_mean, 1}, {&difference_std, 1}};
    // With beta1 = 0 the first moment is the gradient itself.
    return fit_dynamics(pool, layers, 0, data, batch, {{0.25, 0.0, 0.5, 0.0}, 0.5, max_grad_norm},
                        {});
  }
};

void test_one_step() {
  Small t;
  // The gradient is (1, 1), 1; half the parameters are added: (2, 0.5), 1.5. Adam's first step has
  // the length of the rate in every entry.
  CHECK(close(t.fit({0}, 1, 100.0), 1.0));
  CHECK(close(t.m[0], 2.0) && close(t.m[1], 0.5) && close(t.mb, 1.5));
  CHECK(close(t.v[0], 2.0) && close(t.v[1], 0.125) && close(t.vb, 1.125));
  CHECK(close(t.w[0], 1.75) && close(t.w[1], -1.25) && close(t.b, 0.75));
}

void test_a_large_gradient_is_clipped() {
  Small t;
  t.fit({0}, 1, 1.0);
  const double norm = std::sqrt(4.0 + 0.25 + 2.25) + 1e-6;
  CHECK(close(t.m[0], 2.0 / norm) && close(t.m[1], 0.5 / norm) && close(t.mb, 1.5 / norm));
}

void test_no_error_has_no_gradient() {
  Small t;
  CHECK(close(t.fit({1}, 1, 100.0), 0.0));
  CHECK(close(t.m[0], 1.0) && close(t.m[1], -0.5) && close(t.mb, 0.5));  // the weight decay alone
  Small both;
  CHECK(close(both.fit({1, 0, 1, 1}, 4, 100.0), 0.25));
  CHECK(close(both.m[0], 1.25) && close(both.m[1], -0.25) && close(both.mb, 0.75));
}

// Three layers and a batch that fill nothing: for the sanitizers.
struct Odd {
  static constexpr int obs_dim = 3, act_dim = 2, batch = 45;
  std::vector<std::vector<float>> arrays;
  std::vector<TrainedLayer> layers;
  std::vector<float> rows;
  std::vector<std::int64_t> order;
  std::vector<float> mean = std::vector<float>(obs_dim, 0.1f),
                     std = std::vector<float>(obs_dim, 0.5f);
  unsigned state = 1;

  explicit Odd(int steps) {
    const int sizes[] = {obs_dim + act_dim, 127, 66, obs_dim};
    for (int i = 0; i < 3; ++i) {
      const int in = sizes[i], out = sizes[i + 1];
      float* weight = random(in * out);
      float* bias = random(out);
      for (int j = 0; j < in * out; ++j) weight[j] /= std::sqrt(static_cast<float>(in));
      layers.push_back({{weight, bias, in, out},
                        {zeros(in * out), zeros(out), in, out},
                        {zeros(in * out), zeros(out), in, out}});
    }
    const float* values = random(100 * (2 * obs_dim + act_dim));
    rows.assign(values, values + 100 * (2 * obs_dim + act_dim));
    for (int i = 0; i < steps * batch; ++i) order.push_back(i * 7 % 100);
  }

  float* zeros(int n) { return arrays.emplace_back(static_cast<std::size_t>(n)).data(); }
  float* random(int n) {
    float* x = zeros(n);
    for (int i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      x[i] = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
    }
    return x;
  }
  DynamicsData data() const { return {rows, order, mean, std, mean, std}; }
  Precision precision = Precision::fp32;
  double fit(ThreadPool& pool, const std::function<void()>& poll = {}) {
    return fit_dynamics(pool, layers, 0, data(), batch,
                        {{1e-2, 0.9, 0.999, 1e-8}, 1e-4, 1.0, precision}, poll);
  }
};

void test_threads_change_nothing(Precision precision) {
  ThreadPool single(1);
  Odd one(20);
  one.precision = precision;
  const double loss = one.fit(single);
  for (const int threads : {1, 2, 5}) {
    Odd again(20);
    again.precision = precision;
    ThreadPool pool(threads);
    CHECK(again.fit(pool) == loss);
    CHECK(again.arrays == one.arrays);
  }
}

void test_bf16() {
  ThreadPool pool(2);
  Odd rounded(20), exact(20);
  rounded.precision = Precision::bf16;
  if (kernels().pair_product == nullptr) {
    CHECK(admrl_test::throws<InvalidInput>([&] { rounded.fit(pool); }, "bfloat16"));
    return;
  }
  const double loss = exact.fit(pool), near = rounded.fit(pool);
  CHECK(near != loss && std::abs(near - loss) < 0.01 * loss);
  test_threads_change_nothing(Precision::bf16);
}

void test_the_fit_learns() {
  Odd start(1), whole(300);
  ThreadPool pool(2);
  const double before = start.fit(pool), mean = whole.fit(pool);
  CHECK(mean < 0.5 * before);
}

// The kernel of the weight decay, on every instruction set and at every place it may write to.
void test_decay() {
  for (const Kernels* kernels : available_kernels()) {
    for (const std::size_t n : {1u, 15u, 16u, 37u}) {
      for (const std::size_t shift : {0u, 1u, 20u}) {
        std::vector<float> gradient(n + shift), w(n);
        double expected = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
          gradient[i + shift] = static_cast<float>(i) - 3.0f;
          w[i] = static_cast<float>(2 * i);
          expected += (2.0 * static_cast<double>(i) - 3.0) * (2.0 * static_cast<double>(i) - 3.0);
        }
        const double squares = kernels->decay(gradient.data() + shift, w.data(),
                                              static_cast<int>(n), 0.5f, gradient.data());
        CHECK(squares == expected);  // small integers: exact
        bool same = true;
        for (std::size_t i = 0; i < n; ++i)
          same = same && gradient[i] == 2.0f * static_cast<float>(i) - 3.0f;
        CHECK(same);
      }
    }
  }
}

// The pairs of bfloat16 of sizes that fill no register; small integers are not rounded.
void test_pairs() {
  const Kernels& k = *available_kernels().back();
  if (k.pair_rows == nullptr) return;
  const auto bits = [](std::size_t i) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(i)) >> 16;
  };
  for (std::size_t n = 1; n < 70; ++n) {
    std::vector<float> low(n), high(n);
    for (std::size_t i = 0; i < n; ++i) {
      low[i] = static_cast<float>(i);
      high[i] = static_cast<float>(n + i);
    }
    std::vector<unsigned> neighbours((n + 1) / 2), rows(n), alone(n);
    k.pair_neighbours(low.data(), static_cast<int>(n), neighbours.data());
    k.pair_rows(low.data(), high.data(), static_cast<int>(n), rows.data());
    k.pair_rows(low.data(), nullptr, static_cast<int>(n), alone.data());
    bool same = true;
    for (std::size_t i = 0; i < n; ++i) {
      same = same && rows[i] == (bits(i) | bits(n + i) << 16) && alone[i] == bits(i);
      if (i % 2 != 0) continue;
      same = same && neighbours[i / 2] == (bits(i) | (i + 1 < n ? bits(i + 1) << 16 : 0u));
    }
    CHECK(same);
  }
}

struct Stop {};

void test_an_interrupt_leaves_the_steps_done() {
  Odd stopped(20);
  ThreadPool pool(2);
  int polls = 0;
  const auto poll = [&] {
    if (++polls == 2) throw Stop{};
  };
  CHECK_THROWS(stopped.fit(pool, poll), Stop);
  Odd some(8);
  some.fit(pool);
  CHECK(stopped.arrays == some.arrays);
}

void test_bad_input() {
  Odd t(2);
  const auto before = t.arrays;
  ThreadPool pool(1);
  const auto fit = [&](const DynamicsData& data, int batch, DynamicsFitSettings settings = {}) {
    return fit_dynamics(pool, t.layers, 0, data, batch, settings, {});
  };
  CHECK_THROWS(fit(t.data(), 44), InvalidInput);
  CHECK_THROWS(fit(t.data(), 0), InvalidInput);
  CHECK_THROWS(fit(t.data(), Odd::batch, {{}, -1.0, 1.0}), InvalidInput);
  CHECK_THROWS(fit(t.data(), Odd::batch, {{}, 0.0, 0.0}), InvalidInput);
  DynamicsData data = t.data();
  data.rows = data.rows.first(7);
  CHECK_THROWS(fit(data, Odd::batch), InvalidInput);
  data = t.data();
  data.obs_mean = data.obs_mean.first(2);
  CHECK_THROWS(fit(data, Odd::batch), InvalidInput);
  for (const std::int64_t row : {std::int64_t{-1}, std::int64_t{100}}) {
    t.order.back() = row;
    CHECK_THROWS(fit(t.data(), Odd::batch), InvalidInput);
  }
  t.order.back() = 0;
  t.std[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS(fit(t.data(), Odd::batch), InvalidInput);
  CHECK(t.arrays == before);
}

}  // namespace

int main() {
  return admrl_test::run([] {
    test_one_step();
    test_a_large_gradient_is_clipped();
    test_no_error_has_no_gradient();
    test_threads_change_nothing(Precision::fp32);
    test_bf16();
    test_the_fit_learns();
    test_an_interrupt_leaves_the_steps_done();
    test_bad_input();
    test_decay();
    test_pairs();
  });
}
