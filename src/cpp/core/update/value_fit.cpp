#include "core/update/value_fit.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "core/check.hpp"
#include "core/network/aligned.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {
namespace {

void check_layers(std::span<const TrainedLayer> layers) {
  const int outputs = sizes_of_chain(layers).back();
  require(outputs == 1, "layers: expected one output, got ", outputs);
}

void check_data(const ValueData& data, int in_dim) {
  const std::size_t rows = data.targets.size();
  require(rows > 0, "targets: expected at least one sample");
  require_elements("x", data.x.size(), rows * to_size(in_dim));
  require(!data.order.empty() && data.order.size() % rows == 0,
          "order: expected a positive multiple of M=", rows, " samples, got ", data.order.size());
  for (const std::int64_t i : data.order) {
    require(i >= 0 && i < static_cast<std::int64_t>(rows), "order: expected samples in [0, ", rows,
            "), got ", i);
  }
}

// The network, its gradient and its moments in the kernels' layout: weights (panel of outputs, in,
// panel), outputs padded with zeros; a bias follows its weights. Activations and their derivatives
// are (panel of features, minibatch, panel). Padding has no gradient: with epsilon > 0 it stays
// zero.
class Trainer {
 public:
  Trainer(std::span<const TrainedLayer> layers, int minibatch)
      : kernels_(kernels()), panel_(kernels_.panel), block_(long{minibatch} * panel_) {
    std::size_t size = 0;
    for (const TrainedLayer& layer : layers) {
      const int panels = panels_of(layer.out);
      layers_.push_back({layer.in, layer.out, panels, size, {}, {}, {}});
      Layer& l = layers_.back();
      l.y.resize(to_size(panels * block_));
      l.delta.resize(to_size(panels * block_));
      l.weights_back.resize(to_size(long{layer.out} * panels_of(layer.in) * panel_));
      size += to_size((layer.in + 1L) * panels * panel_);
    }
    for (auto* buffer : {&parameters_, &gradient_, &first_, &second_}) buffer->assign(size, 0.0f);
    x_.resize(to_size(panels_of(layers_.front().in) * block_));
    targets_.resize(to_size(minibatch));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      pack(layers_[i], layers[i], parameters_);
      pack(layers_[i], layers[i].first, first_);
      pack(layers_[i], layers[i].second, second_);
    }
  }

  void write_back(std::span<const TrainedLayer> layers) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      unpack(layers_[i], parameters_, layers[i]);
      unpack(layers_[i], first_, layers[i].first);
      unpack(layers_[i], second_, layers[i].second);
    }
  }

  // One Adam step on the given samples; the sum of (V - target)² / 2 before it.
  double step(const ValueData& data, std::span<const std::int64_t> samples, const AdamStep& adam) {
    const int rows = static_cast<int>(samples.size());
    gather(data, samples);
    forward(rows);
    const double loss = output_delta(rows);
    for (std::size_t i = layers_.size(); i-- > 0;) backward(i, rows);
    kernels_.adam(gradient_.data(), static_cast<int>(gradient_.size()), adam, first_.data(),
                  second_.data(), parameters_.data());
    return loss;
  }

 private:
  struct Layer {
    int in, out, panels;                // panels of its outputs
    std::size_t offset;                 // of its weights in the flat buffers
    AlignedVector<float> y;             // outputs
    AlignedVector<float> delta;         // derivative of the loss in the sums
    AlignedVector<float> weights_back;  // (panel of inputs, out, panel): the weights, transposed
  };

  int panels_of(int features) const { return (features + panel_ - 1) / panel_; }

  // Where the weight from input k to output j is in the flat buffers.
  std::size_t at(const Layer& l, int k, int j) const {
    return l.offset + to_size((long{j / panel_} * l.in + k) * panel_ + j % panel_);
  }
  std::size_t bias(const Layer& l) const {
    return l.offset + to_size(long{l.panels} * l.in * panel_);
  }

  void pack(const Layer& l, const MlpLayer& from, AlignedVector<float>& into) const {
    for (int j = 0; j < l.out; ++j) {
      for (int k = 0; k < l.in; ++k) into[at(l, k, j)] = from.weight[j * l.in + k];
    }
    std::copy_n(from.bias, l.out, into.data() + bias(l));
  }

  void unpack(const Layer& l, const AlignedVector<float>& from, const WritableLayer& to) const {
    for (int j = 0; j < l.out; ++j) {
      for (int k = 0; k < l.in; ++k) to.weight[j * l.in + k] = from[at(l, k, j)];
    }
    std::copy_n(from.data() + bias(l), l.out, to.bias);
  }

  void gather(const ValueData& data, std::span<const std::int64_t> samples) {
    const int in = layers_.front().in;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto sample = static_cast<std::size_t>(samples[i]);
      const float* from = data.x.data() + sample * to_size(in);
      float* to = x_.data() + i * to_size(panel_);
      for (int k = 0; k < in; k += panel_, to += block_) {
        std::copy_n(from + k, std::min(panel_, in - k), to);
      }
      targets_[i] = data.targets[sample];
    }
  }

  const float* input(std::size_t i) const { return i == 0 ? x_.data() : layers_[i - 1].y.data(); }

  void forward(int rows) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& l = layers_[i];
      const bool last = i + 1 == layers_.size();
      kernels_.product({rows, l.in, l.panels, input(i), panel_, 1, block_,
                        parameters_.data() + l.offset, long{l.in} * panel_, l.y.data(), panel_,
                        block_, nullptr, ProductStart::column_bias, parameters_.data() + bias(l),
                        last ? ProductEnd::none : ProductEnd::tanh, nullptr});
    }
  }

  // The derivative of the mean of (V - target)² / 2 in V.
  double output_delta(int rows) {
    Layer& l = layers_.back();
    double loss = 0.0;
    for (int i = 0; i < rows; ++i) {
      const std::size_t first = to_size(i * panel_);
      const float error = l.y[first] - targets_[to_size(i)];
      loss += 0.5 * static_cast<double>(error) * static_cast<double>(error);
      l.delta[first] = error / static_cast<float>(rows);  // the padding beside it is zero
    }
    return loss;
  }

  // The gradient of layer i from its delta, and the delta of the layer below.
  void backward(std::size_t i, int rows) {
    Layer& l = layers_[i];
    // Inputs, transposed, times delta, for one panel of inputs after the other.
    for (int k = 0; k < l.in; k += panel_) {
      kernels_.product({std::min(panel_, l.in - k), rows, l.panels, input(i) + k / panel_ * block_,
                        1, panel_, long{panel_} * panel_, l.delta.data(), block_,
                        gradient_.data() + at(l, k, 0), panel_, long{l.in} * panel_, nullptr,
                        ProductStart::zero, nullptr, ProductEnd::none, nullptr});
    }
    float* bias_gradient = gradient_.data() + bias(l);
    std::fill_n(bias_gradient, l.panels * panel_, 0.0f);
    for (int p = 0; p < l.panels; ++p) {
      kernels_.add_panels(l.delta.data() + p * block_, 1, rows, bias_gradient + p * panel_);
    }
    if (i == 0) return;
    for (int j = 0; j < l.out; ++j) {
      const float* from = parameters_.data() + at(l, 0, j);
      for (int first = 0; first < l.in; first += panel_) {
        const int count = std::min(panel_, l.in - first);
        float* to = l.weights_back.data() + long{first} * l.out + long{j} * panel_;
        for (int k = 0; k < count; ++k, from += panel_) to[k] = *from;
      }
    }
    Layer& below = layers_[i - 1];
    kernels_.product({rows, l.out, below.panels, l.delta.data(), panel_, 1, block_,
                      l.weights_back.data(), long{l.out} * panel_, below.delta.data(), panel_,
                      block_, nullptr, ProductStart::zero, nullptr, ProductEnd::tanh_slope,
                      below.y.data()});
  }

  const Kernels& kernels_;
  int panel_;
  long block_;  // from one panel of features to the next
  std::vector<Layer> layers_;
  AlignedVector<float> parameters_, gradient_, first_, second_;
  AlignedVector<float> x_;
  std::vector<float> targets_;
};

}  // namespace

ValueFit::ValueFit(std::vector<TrainedLayer> layers, std::int64_t steps_done, const ValueData& data,
                   int minibatch, const AdamSettings& adam)
    : layers_(std::move(layers)),
      steps_done_(steps_done),
      data_(data),
      minibatch_(minibatch),
      adam_(adam) {
  check_layers(layers_);
  check_data(data, layers_.front().in);
  check_adam(adam);
  require_at_least_one("minibatch", minibatch);
  require(steps_done >= 0, "steps_done: expected at least 0, got ", steps_done);
}

std::int64_t ValueFit::steps() const noexcept {
  const auto rows = static_cast<std::int64_t>(data_.targets.size());
  const auto epochs = static_cast<std::int64_t>(data_.order.size()) / rows;
  return epochs * ((rows + minibatch_ - 1) / minibatch_);
}

void ValueFit::run(ThreadPool& /*pool*/) {
  const std::size_t rows = data_.targets.size();
  const std::size_t batch = std::min(to_size(minibatch_), rows);
  Trainer trainer(layers_, static_cast<int>(batch));
  losses_.assign(data_.order.size() / rows, 0.0);
  std::int64_t step = steps_done_;
  for (std::size_t epoch = 0; epoch < losses_.size(); ++epoch) {
    for (std::size_t first = 0; first < rows; first += batch) {
      ++step;
      const std::size_t count = std::min(batch, rows - first);
      losses_[epoch] += trainer.step(data_, data_.order.subspan(epoch * rows + first, count),
                                     adam_step(adam_, step));
    }
    losses_[epoch] /= static_cast<double>(rows);
  }
  trainer.write_back(layers_);
}

}  // namespace admrl
