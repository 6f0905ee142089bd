#include "core/update/dynamics_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "core/check.hpp"
#include "core/network/wide_network.hpp"

namespace admrl {
namespace {

constexpr std::size_t kStepsOfPoll = 8;  // some 30 ms at the paper's sizes

void check_layers(std::span<const TrainedLayer> layers) {
  sizes_of_chain(layers);
  require(layers.front().in > layers.back().out,
          "layers: expected more inputs (D + A) than outputs (D), got ", layers.front().in, " and ",
          layers.back().out);
}

void check_data(const DynamicsData& data, std::size_t obs_dim, std::size_t row, int batch) {
  require(!data.rows.empty() && data.rows.size() % row == 0,
          "rows: expected a positive multiple of 2D+A=", row, " elements, got ", data.rows.size());
  require_elements("obs_mean", data.obs_mean.size(), obs_dim);
  require_elements("obs_std", data.obs_std.size(), obs_dim);
  require_elements("difference_mean", data.difference_mean.size(), obs_dim);
  require_elements("difference_std", data.difference_std.size(), obs_dim);
  require_positive("obs_std", data.obs_std);
  require_positive("difference_std", data.difference_std);
  require_at_least_one("batch", batch);
  require(!data.order.empty() && data.order.size() % to_size(batch) == 0,
          "order: expected a positive multiple of batch=", batch, " rows, got ", data.order.size());
  const auto rows = static_cast<std::int64_t>(data.rows.size() / row);
  for (const std::int64_t i : data.order) {
    require(i >= 0 && i < rows, "order: expected rows in [0, ", rows, "), got ", i);
  }
}

void check_settings(const DynamicsFitSettings& s) {
  check_adam(s.adam);
  require_not_negative("weight_decay", s.weight_decay);
  require(s.max_grad_norm > 0.0, "max_grad_norm: expected a positive number, got ",
          s.max_grad_norm);
}

class Fit {
 public:
  Fit(std::span<const TrainedLayer> layers, const DynamicsData& data, int batch,
      Precision precision)
      : data_(data),
        batch_(batch),
        obs_dim_(layers.back().out),
        in_dim_(layers.front().in),
        network_(layers, batch, precision),
        panel_(network_.panel()),
        inputs_(to_size(batch) * to_size(in_dim_)),
        targets_(to_size(network_.panels() * panel_) * to_size(obs_dim_), 0.0f),
        squares_(to_size(network_.panels() * panel_)) {}

  // One step on the given rows; the loss before it.
  double step(ThreadPool& pool, const std::int64_t* rows, const DynamicsFitSettings& settings,
              AdamStep adam) {
    pool.for_each(network_.panels(), [&](int p) { gather(rows, p); });
    network_.forward(pool);
    pool.for_each(network_.panels(), [&](int p) { loss(p); });
    const double norm = network_.backward(pool, static_cast<float>(settings.weight_decay));
    // As torch's clip_grad_norm_; NaN stays NaN.
    const double scale = settings.max_grad_norm / (norm + 1e-6);
    adam.gradient_scale = scale >= 1.0 ? 1.0f : static_cast<float>(scale);
    network_.adam(pool, adam);
    double sum = 0.0;
    for (int s = 0; s < batch_; ++s) sum += std::sqrt(squares_[to_size(s)]);
    return sum / (batch_ * std::sqrt(obs_dim_));
  }

 private:
  int samples(int p) const { return std::min(panel_, batch_ - p * panel_); }

  void gather(const std::int64_t* rows, int p) noexcept {
    const int act_dim = in_dim_ - obs_dim_;
    float* target = targets_.data() + to_size(p) * to_size(obs_dim_) * to_size(panel_);
    for (int j = 0; j < samples(p); ++j) {
      const int sample = p * panel_ + j;
      const float* obs =
          data_.rows.data() + static_cast<std::size_t>(rows[sample]) * to_size(in_dim_ + obs_dim_);
      const float* action = obs + obs_dim_;
      const float* next = obs + in_dim_;
      float* input = inputs_.data() + to_size(sample) * to_size(in_dim_);
      for (int d = 0; d < obs_dim_; ++d) {
        const std::size_t i = to_size(d);
        input[d] = (obs[d] - data_.obs_mean[i]) / data_.obs_std[i];
        target[d * panel_ + j] =
            (next[d] - obs[d] - data_.difference_mean[i]) / data_.difference_std[i];
      }
      for (int a = 0; a < act_dim; ++a) {
        input[obs_dim_ + a] = std::clamp(action[a], -1.0f, 1.0f);  // NaN stays NaN
      }
      network_.set_input(sample, input);
    }
  }

  // The squared norms of the errors of a panel, and the derivative of the loss in the outputs:
  // error / |error|, 0 where it is 0, over batch · sqrt(D).
  void loss(int p) noexcept {
    const float* target = targets_.data() + to_size(p) * to_size(obs_dim_) * to_size(panel_);
    const float* output = network_.output(p);
    float* delta = network_.output_delta(p);
    double* squares = squares_.data() + p * panel_;
    std::fill_n(squares, panel_, 0.0);
    for (int d = 0; d < obs_dim_; ++d) {
      for (int j = 0; j < panel_; ++j) {
        const float error = output[d * panel_ + j] - target[d * panel_ + j];
        delta[d * panel_ + j] = error;
        squares[j] += static_cast<double>(error) * static_cast<double>(error);
      }
    }
    for (int j = 0; j < panel_; ++j) {
      const double size = std::sqrt(squares[j]) * std::sqrt(obs_dim_) * batch_;
      const bool none = j >= samples(p) || squares[j] == 0.0;
      const float scale = none ? 0.0f : static_cast<float>(1.0 / size);
      for (int d = 0; d < obs_dim_; ++d) {
        float& x = delta[d * panel_ + j];
        x = none ? 0.0f : x * scale;
      }
    }
  }

  const DynamicsData& data_;
  int batch_, obs_dim_, in_dim_;
  WideNetwork network_;
  int panel_;
  std::vector<float> inputs_;    // (batch, D + A)
  std::vector<float> targets_;   // (panels, D, panel)
  std::vector<double> squares_;  // (panels · panel): |error|² of every sample
};

}  // namespace

double fit_dynamics(ThreadPool& pool, std::span<const TrainedLayer> layers, std::int64_t steps_done,
                    const DynamicsData& data, int batch, const DynamicsFitSettings& settings,
                    const std::function<void()>& poll) {
  check_layers(layers);
  check_data(data, to_size(layers.back().out), to_size(layers.front().in + layers.back().out),
             batch);
  check_settings(settings);
  require(steps_done >= 0, "steps_done: expected at least 0, got ", steps_done);
  Fit fit(layers, data, batch, settings.precision);
  const std::size_t steps = data.order.size() / to_size(batch);
  double sum = 0.0;
  for (std::size_t i = 0; i < steps; ++i) {
    if (poll && i % kStepsOfPoll == 0) poll();
    sum += fit.step(pool, data.order.data() + i * to_size(batch), settings,
                    adam_step(settings.adam, steps_done + static_cast<std::int64_t>(i) + 1));
  }
  return sum / static_cast<double>(steps);
}

}  // namespace admrl
