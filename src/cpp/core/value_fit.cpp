#include "core/value_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "core/error.hpp"
#include "kernels/dispatch.hpp"

namespace admrl {
namespace {

std::size_t to_size(int n) { return static_cast<std::size_t>(n); }

void require(bool ok, const std::string& message) {
  if (!ok) throw InvalidInput(message);
}

void check_layers(std::span<const TrainedLayer> layers) {
  require(!layers.empty(), "layers: expected at least one");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string name = "layers[" + std::to_string(i) + "]: ";
    require(layers[i].in >= 1 && layers[i].out >= 1, name + "expected positive sizes");
    if (i == 0) continue;
    require(layers[i].in == layers[i - 1].out,
            name + "expected " + std::to_string(layers[i - 1].out) +
                " inputs (the outputs of the layer before), got " + std::to_string(layers[i].in));
  }
  require(layers.back().out == 1,
          "layers: expected one output, got " + std::to_string(layers.back().out));
}

void check_data(const ValueData& data, int in_dim) {
  const std::size_t rows = data.targets.size();
  require(rows > 0, "targets: expected at least one sample");
  require(data.x.size() == rows * to_size(in_dim),
          "x: expected " + std::to_string(rows * to_size(in_dim)) + " elements, got " +
              std::to_string(data.x.size()));
  require(!data.order.empty() && data.order.size() % rows == 0,
          "order: expected a positive multiple of M=" + std::to_string(rows) + " samples, got " +
              std::to_string(data.order.size()));
  for (const std::int64_t i : data.order) {
    require(
        i >= 0 && i < static_cast<std::int64_t>(rows),
        "order: expected samples in [0, " + std::to_string(rows) + "), got " + std::to_string(i));
  }
}

void check_adam(const AdamSettings& a) {
  require(std::isfinite(a.learning_rate) && a.learning_rate >= 0.0,
          "learning_rate: expected a finite number >= 0, got " + std::to_string(a.learning_rate));
  require(a.beta1 >= 0.0 && a.beta1 < 1.0,
          "beta1: expected a number in [0, 1), got " + std::to_string(a.beta1));
  require(a.beta2 >= 0.0 && a.beta2 < 1.0,
          "beta2: expected a number in [0, 1), got " + std::to_string(a.beta2));
  require(std::isfinite(a.epsilon) && a.epsilon >= 0.0,
          "eps: expected a finite number >= 0, got " + std::to_string(a.epsilon));
}

// The network, its gradient and its moments in the kernels' layout: weights transposed, (in, out),
// outputs padded with zeros; a bias follows its weights. Padding has no gradient, so it stays zero.
class Trainer {
 public:
  Trainer(std::span<const TrainedLayer> layers, int minibatch)
      : kernels_(kernels()), minibatch_(minibatch) {
    std::size_t size = 0;
    for (const TrainedLayer& layer : layers) {
      const int padded = pad(layer.out);
      layers_.push_back({layer.in, layer.out, padded, pad(layer.in), size, {}, {}, {}});
      Layer& l = layers_.back();
      l.y.resize(to_size(minibatch) * to_size(padded));
      l.delta.resize(to_size(minibatch) * to_size(padded));
      l.weights_back.resize(to_size(padded) * to_size(l.padded_in));
      size += (to_size(layer.in) + 1) * to_size(padded);
    }
    for (auto* buffer : {&parameters_, &gradient_, &first_, &second_}) buffer->assign(size, 0.0f);
    x_.resize(to_size(minibatch) * to_size(layers_.front().in));
    targets_.resize(to_size(minibatch));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const TrainedLayer& l = layers[i];
      pack(layers_[i], l.weight, l.bias, parameters_);
      pack(layers_[i], l.weight_first, l.bias_first, first_);
      pack(layers_[i], l.weight_second, l.bias_second, second_);
    }
  }

  void write_back(std::span<const TrainedLayer> layers) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const TrainedLayer& l = layers[i];
      unpack(layers_[i], parameters_, l.weight, l.bias);
      unpack(layers_[i], first_, l.weight_first, l.bias_first);
      unpack(layers_[i], second_, l.weight_second, l.bias_second);
    }
  }

  // One Adam step on the given samples; the sum of (V - target)² / 2 before it.
  double step(const ValueData& data, std::span<const std::int64_t> samples, const AdamStep& adam) {
    const int rows = static_cast<int>(samples.size());
    gather(data, samples);
    forward(rows);
    const double loss = output_delta(rows);
    backward(rows);
    kernels_.adam(gradient_.data(), static_cast<int>(gradient_.size()), adam, first_.data(),
                  second_.data(), parameters_.data());
    return loss;
  }

 private:
  struct Layer {
    int in, out, padded, padded_in;   // padded: outputs, padded_in: inputs
    std::size_t offset;               // of its weights in the flat buffers
    std::vector<float> y;             // (minibatch, padded) outputs
    std::vector<float> delta;         // (minibatch, padded) derivative of the loss in the sums
    std::vector<float> weights_back;  // (padded, padded_in): the weights, transposed again

    std::size_t bias() const { return offset + to_size(in) * to_size(padded); }
  };

  int pad(int n) const { return (n + kernels_.width - 1) / kernels_.width * kernels_.width; }

  static void pack(const Layer& l, const float* weight, const float* bias,
                   std::vector<float>& into) {
    for (int k = 0; k < l.in; ++k) {
      for (int j = 0; j < l.out; ++j) {
        into[l.offset + to_size(k * l.padded + j)] = weight[j * l.in + k];
      }
    }
    std::copy_n(bias, l.out, into.data() + l.bias());
  }

  static void unpack(const Layer& l, const std::vector<float>& from, float* weight, float* bias) {
    for (int k = 0; k < l.in; ++k) {
      for (int j = 0; j < l.out; ++j) {
        weight[j * l.in + k] = from[l.offset + to_size(k * l.padded + j)];
      }
    }
    std::copy_n(from.data() + l.bias(), l.out, bias);
  }

  void gather(const ValueData& data, std::span<const std::int64_t> samples) {
    const std::size_t in = to_size(layers_.front().in);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto sample = static_cast<std::size_t>(samples[i]);
      std::copy_n(data.x.data() + sample * in, in, x_.data() + i * in);
      targets_[i] = data.targets[sample];
    }
  }

  // The inputs of a layer and the distance between two samples.
  const float* input(std::size_t i) const { return i == 0 ? x_.data() : layers_[i - 1].y.data(); }
  int input_step(std::size_t i) const { return i == 0 ? layers_[0].in : layers_[i - 1].padded; }

  void forward(int rows) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& l = layers_[i];
      const bool last = i + 1 == layers_.size();
      kernels_.gemm(input(i), input_step(i), 1, parameters_.data() + l.offset,
                    parameters_.data() + l.bias(), rows, l.padded, l.in,
                    last ? KernelActivation::none : KernelActivation::tanh, l.y.data());
    }
  }

  // The derivative of the mean of (V - target)² / 2 in V.
  double output_delta(int rows) {
    Layer& l = layers_.back();
    double loss = 0.0;
    std::fill(l.delta.begin(), l.delta.end(), 0.0f);
    for (int i = 0; i < rows; ++i) {
      const float error = l.y[to_size(i * l.padded)] - targets_[to_size(i)];
      loss += 0.5 * static_cast<double>(error) * static_cast<double>(error);
      l.delta[to_size(i * l.padded)] = error / static_cast<float>(rows);
    }
    return loss;
  }

  void backward(int rows) {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      Layer& l = layers_[i];
      float* gradient = gradient_.data() + l.offset;
      // Inputs, transposed, times delta.
      kernels_.gemm(input(i), 1, input_step(i), l.delta.data(), nullptr, l.in, l.padded, rows,
                    KernelActivation::none, gradient);
      float* bias = gradient_.data() + l.bias();
      std::fill_n(bias, l.padded, 0.0f);
      for (int r = 0; r < rows; ++r) {
        for (int j = 0; j < l.padded; ++j) bias[j] += l.delta[to_size(r * l.padded + j)];
      }
      if (i == 0) break;
      // delta times the weights gives the layer below its own; the padding of `in` has zero
      // weights.
      for (int k = 0; k < l.in; ++k) {
        for (int j = 0; j < l.out; ++j) {
          l.weights_back[to_size(j * l.padded_in + k)] =
              parameters_[l.offset + to_size(k * l.padded + j)];
        }
      }
      Layer& below = layers_[i - 1];
      kernels_.gemm(l.delta.data(), l.padded, 1, l.weights_back.data(), nullptr, rows, l.padded_in,
                    l.out, KernelActivation::none, below.delta.data());
      kernels_.tanh_gradient(below.y.data(), rows * below.padded, below.delta.data());
    }
  }

  const Kernels& kernels_;
  int minibatch_;
  std::vector<Layer> layers_;
  std::vector<float> parameters_, gradient_, first_, second_;
  std::vector<float> x_, targets_;
};

}  // namespace

std::vector<double> fit_value(std::span<const TrainedLayer> layers, std::int64_t steps_done,
                              const ValueData& data, int minibatch, const AdamSettings& adam,
                              const std::function<void()>& between_epochs) {
  check_layers(layers);
  check_data(data, layers.front().in);
  check_adam(adam);
  require(minibatch >= 1, "minibatch: expected at least 1, got " + std::to_string(minibatch));
  require(steps_done >= 0, "steps_done: expected at least 0, got " + std::to_string(steps_done));
  const std::size_t rows = data.targets.size();
  const std::size_t batch = std::min(to_size(minibatch), rows);
  Trainer trainer(layers, static_cast<int>(batch));
  std::vector<double> losses(data.order.size() / rows, 0.0);
  std::int64_t step = steps_done;
  for (std::size_t epoch = 0; epoch < losses.size(); ++epoch) {
    if (between_epochs) between_epochs();
    for (std::size_t first = 0; first < rows; first += batch) {
      ++step;
      const auto t = static_cast<double>(step);
      const AdamStep constants{
          static_cast<float>(adam.beta1), static_cast<float>(adam.beta2),
          static_cast<float>(adam.learning_rate / (1.0 - std::pow(adam.beta1, t))),
          static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(adam.beta2, t))),
          static_cast<float>(adam.epsilon)};
      const std::size_t count = std::min(batch, rows - first);
      losses[epoch] +=
          trainer.step(data, data.order.subspan(epoch * rows + first, count), constants);
    }
    losses[epoch] /= static_cast<double>(rows);
    trainer.write_back(layers);
  }
  return losses;
}

}  // namespace admrl
