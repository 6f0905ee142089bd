#include "core/network/mlp.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/dispatch.hpp"

namespace admrl {

PackedMlp::PackedMlp(std::span<const MlpLayer> layers, Activation hidden)
    : kernels_(&kernels()), hidden_(hidden) {
  sizes_of_chain(layers);
  in_dim_ = layers.front().in;
  out_dim_ = layers.back().out;
  size_t size = 0;
  for (const MlpLayer& layer : layers) {
    const int padded = (layer.out + kernels_->width - 1) / kernels_->width * kernels_->width;
    layers_.push_back({layer.in, padded, size});
    size += (static_cast<size_t>(layer.in) + 1) * static_cast<size_t>(padded);
    width_ = std::max(width_, padded);
  }
  data_.assign(size, 0.0f);
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto in = static_cast<size_t>(layers[i].in);
    const auto out = static_cast<size_t>(layers[i].out);
    const auto padded = static_cast<size_t>(layers_[i].out);
    const auto panel = static_cast<size_t>(kernels_->panel);
    float* packed = data_.data() + layers_[i].weights;
    for (size_t j = 0; j < out; ++j) {
      const size_t first = j / panel * panel;  // of the panel's outputs; the last may be narrower
      const size_t columns = std::min(panel, padded - first);
      float* column = packed + first * in + (j - first);
      for (size_t k = 0; k < in; ++k) column[k * columns] = layers[i].weight[j * in + k];
    }
    std::copy_n(layers[i].bias, out, packed + in * padded);
  }
}

void PackedMlp::forward(const float* x, float* y, float* scratch) const noexcept {
  float* into = scratch;
  float* other = scratch + width_;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const float* weights = data_.data() + layer.weights;
    const float* bias = weights + static_cast<size_t>(layer.in) * static_cast<size_t>(layer.out);
    const bool last = i + 1 == layers_.size();
    kernels_->dense(x, layer.in, weights, bias, layer.out, last ? Activation::none : hidden_, into);
    x = into;
    std::swap(into, other);
  }
  std::memcpy(y, x, static_cast<size_t>(out_dim_) * sizeof(float));
}

}  // namespace admrl
