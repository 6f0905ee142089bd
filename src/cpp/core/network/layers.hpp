// Dense layers as torch keeps them, y = W x + b with W (out, in) row-major, all borrowed; and the
// check that they make a network.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/check.hpp"

namespace admrl {

template <class Number>
struct LayerOf {
  Number* weight;
  Number* bias;
  int in;
  int out;

  std::size_t num_weights() const { return to_size(in) * to_size(out); }
  operator LayerOf<const Number>() const
    requires(!std::is_const_v<Number>)
  {
    return {weight, bias, in, out};
  }
};
using MlpLayer = LayerOf<const float>;
using WritableLayer = LayerOf<float>;

// With its Adam moments, shaped alike: the running means of the gradient and of its square.
struct TrainedLayer : WritableLayer {
  WritableLayer first, second;
};

// The sizes of a chain: in, hidden ..., out.
// Raises InvalidInput if there is no layer, a size is not positive, or the sizes do not chain.
template <class Layers>
std::vector<int> sizes_of_chain(const Layers& layers) {
  require(!layers.empty(), "layers: expected at least one");
  std::vector<int> sizes{layers.front().in};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const int in = layers[i].in, out = layers[i].out;
    require(in >= 1 && out >= 1, "layers[", i, "]: expected positive sizes, got ", in,
            " inputs and ", out, " outputs");
    require(in == sizes.back(), "layers[", i, "]: expected ", sizes.back(),
            " inputs (the outputs of the layer before), got ", in);
    sizes.push_back(out);
  }
  return sizes;
}

// Weight and bias of every layer, from first to last, in one vector.
template <class Layers>
std::vector<float> parameters_of(const Layers& layers) {
  std::vector<float> all;
  for (const auto& layer : layers) {
    all.insert(all.end(), layer.weight, layer.weight + layer.num_weights());
    all.insert(all.end(), layer.bias, layer.bias + layer.out);
  }
  return all;
}

// Raises NotFinite; `name` is what the caller calls the layers.
inline void require_finite_layers(const std::string& name, std::span<const MlpLayer> layers) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string index = joined(name, "[", i, "]");
    require_finite(index + " weight", std::span(layers[i].weight, layers[i].num_weights()));
    require_finite(index + " bias", std::span(layers[i].bias, to_size(layers[i].out)));
  }
}

}  // namespace admrl
