#include "core/rollout/virtual_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "core/check.hpp"
#include "core/environment/family.hpp"
#include "core/threads/loans.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {

namespace {

void check(std::span<const MlpLayer> layers, std::span<const float> low,
           std::span<const float> high) {
  sizes_of_chain(layers);
  const int obs_dim = layers.back().out;
  require(layers.front().in > obs_dim, "model: expected more inputs (D + A) than outputs (D), got ",
          layers.front().in, " and ", obs_dim);
  require(low.size() == to_size(obs_dim) && high.size() == to_size(obs_dim),
          "model: low, high: expected (D=", obs_dim, ",), got (", low.size(), ",) and (",
          high.size(), ",)");
  require_finite("model: low", low);
  require_finite("model: high", high);
  require_finite_layers("model: layers", layers);
}

}  // namespace

VirtualModel::VirtualModel(std::span<const MlpLayer> layers, std::span<const float> low,
                           std::span<const float> high, Precision precision, ThreadPool& pool)
    : kernels_(&kernels()),
      precision_(precision),
      low_(low.begin(), low.end()),
      high_(high.begin(), high.end()) {
  check_precision(precision);
  check(layers, low, high);
  obs_dim_ = layers.back().out;
  const int panel = kernels_->panel;
  for (const MlpLayer& from : layers) {
    const bool first = layers_.empty();
    const int panels = (from.out + panel - 1) / panel, padded = panels * panel;
    width_ = std::max(width_, padded);
    Layer& layer = layers_.emplace_back(Layer{from.in, from.out, panels, {}, {}, {}});
    layer.bias.assign(to_size(padded), 0.0F);
    std::copy_n(from.bias, from.out, layer.bias.begin());
    const auto weight = [&from](int row, int column) {  // 0 in the padding
      if (row >= from.out || column >= from.in) return 0.0F;
      return from.weight[to_size(long{row} * from.in + column)];
    };
    if (first || precision == Precision::fp32) {
      layer.weights.resize(to_size(long{padded} * from.in));
      pool.for_each(panels, [&](int p) {
        float* to = layer.weights.data() + long{p} * from.in * panel;
        for (int l = 0; l < from.in; ++l) {
          for (int j = 0; j < panel; ++j) *to++ = weight(p * panel + j, l);
        }
      });
    } else {
      const int pairs = (from.in + 1) / 2;
      layer.pairs.resize(to_size(long{padded} * pairs));
      pool.for_each(panels, [&](int p) {
        std::uint32_t* to = layer.pairs.data() + long{p} * pairs * panel;
        for (int l = 0; l < pairs; ++l) {
          for (int j = 0; j < panel; ++j) {
            const int row = p * panel + j;
            *to++ = bf16_pair(weight(row, 2 * l), weight(row, 2 * l + 1));
          }
        }
      });
    }
  }
}

VirtualModel::Scratch::Scratch(const VirtualModel& model, int rows) {
  const std::size_t size = to_size(long{rows} * model.width_);
  even_.resize(size);
  odd_.resize(size);
  if (model.precision_ == Precision::bf16) {
    even_pairs_.resize(size / 2);
    odd_pairs_.resize(size / 2);
  }
}

void VirtualModel::multiply(const Layer& layer, const float* x, const std::uint32_t* x_pairs,
                            int rows, ProductEnd end, float* y,
                            std::uint32_t* y_pairs) const noexcept {
  const int panel = kernels_->panel;
  // The inputs of the first layer stand row by row, those of the others in padded rows.
  const bool first = &layer == &layers_.front();
  const int padded = (layer.in + panel - 1) / panel * panel;
  const long row = first ? layer.in : padded;
  // Written by the kernel as the bfloat16 numbers that the pairs consist of.
  auto* y_bf16 = reinterpret_cast<unsigned short*>(y_pairs);
  if (layer.pairs.empty()) {
    kernels_->product({rows, layer.in, layer.panels, x, row, 1, panel, layer.weights.data(),
                       long{layer.in} * panel, y, long{layer.panels} * panel, panel, y_bf16,
                       ProductStart::column_bias, layer.bias.data(), end, nullptr});
  } else {
    const int pairs = (layer.in + 1) / 2;
    kernels_->pair_product({rows, pairs, layer.panels, x_pairs, row / 2, 1, panel,
                            layer.pairs.data(), long{pairs} * panel, y, long{layer.panels} * panel,
                            panel, y_bf16, ProductStart::column_bias, layer.bias.data(), end,
                            nullptr});
  }
}

void VirtualModel::predict(const float* inputs, int rows, float* next,
                           Scratch& scratch) const noexcept {
  const float* x = inputs;
  const std::uint32_t* x_pairs = nullptr;
  float *y = scratch.even_.data(), *other = scratch.odd_.data();
  std::uint32_t *y_pairs = scratch.even_pairs_.data(), *other_pairs = scratch.odd_pairs_.data();
  for (const Layer& layer : layers_) {
    const bool last = &layer == &layers_.back();
    const bool rounded = precision_ == Precision::bf16 && !last;
    multiply(layer, x, x_pairs, rows, last ? ProductEnd::none : ProductEnd::relu, y,
             rounded ? y_pairs : nullptr);
    x = y;
    x_pairs = y_pairs;
    std::swap(y, other);
    std::swap(y_pairs, other_pairs);
  }
  const long stride = long{layers_.back().panels} * kernels_->panel;
  for (int i = 0; i < rows; ++i) {
    const float* state = inputs + long{i} * layers_.front().in;
    for (int j = 0; j < obs_dim_; ++j) {
      // A comparison with not-a-number is false: it passes through.
      const float value = state[j] + x[i * stride + j];
      const std::size_t at = to_size(j);
      *next++ = value < low_[at] ? low_[at] : (value > high_[at] ? high_[at] : value);
    }
  }
}

void VirtualModel::predict(ThreadPool& pool, std::span<const float> states,
                           std::span<const float> actions, std::span<float> next) const {
  const int rows = static_cast<int>(states.size() / to_size(obs_dim_)), step = best_rows();
  const long act_dim = this->act_dim(), in = layers_.front().in;
  struct Buffers {
    Scratch scratch;
    std::vector<float> inputs;
  };
  Loans<Buffers> buffers(pool.num_threads(), [&] {
    return Buffers{Scratch(*this, step), std::vector<float>(to_size(step * in))};
  });
  pool.for_each((rows + step - 1) / step, [&](int chunk) {
    const int first = chunk * step, count = std::min(step, rows - first);
    const auto buffer = buffers.take();
    float* inputs = buffer->inputs.data();
    for (int i = 0; i < count; ++i) {
      float* to =
          std::copy_n(states.data() + long{first + i} * obs_dim_, obs_dim_, inputs + i * in);
      const float* from = actions.data() + (first + i) * act_dim;
      for (long j = 0; j < act_dim; ++j) to[j] = static_cast<float>(clipped_action(from[j]));
    }
    predict(inputs, count, next.data() + long{first} * obs_dim_, buffer->scratch);
  });
}

}  // namespace admrl
