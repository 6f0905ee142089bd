// Dense layers as torch keeps them, y = W x + b with W (out, in) row-major, all borrowed; and the
// check that they make a network.
#pragma once

#include <span>
#include <vector>

namespace admrl {

struct MlpLayer {
  const float* weight;
  const float* bias;
  int in;
  int out;
};

// Read and written.
struct PolicyLayer {
  float* weight;
  float* bias;
  int in;
  int out;
};

// Read and written, with its Adam moments: `first` and `second` are the running means of the
// gradient and of its square.
struct TrainedLayer {
  float* weight;
  float* bias;
  float* weight_first;
  float* bias_first;
  float* weight_second;
  float* bias_second;
  int in;
  int out;
};

struct LayerSize {
  int in;
  int out;
};

// The sizes of a chain: in, hidden ..., out.
// Raises InvalidInput if there is no layer, a size is not positive, or the sizes do not chain.
std::vector<int> sizes_of_chain(std::span<const LayerSize> layers);

template <class Layers>
std::vector<int> sizes_of_chain(const Layers& layers) {
  std::vector<LayerSize> sizes;
  for (const auto& layer : layers) sizes.push_back({layer.in, layer.out});
  return sizes_of_chain(std::span<const LayerSize>(sizes));
}

}  // namespace admrl
