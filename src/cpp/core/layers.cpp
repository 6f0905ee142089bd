#include "core/layers.hpp"

#include <cstddef>
#include <string>

#include "core/error.hpp"

namespace admrl {

std::vector<int> sizes_of_chain(std::span<const LayerSize> layers) {
  if (layers.empty()) throw InvalidInput("layers: expected at least one");
  std::vector<int> sizes{layers.front().in};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto [in, out] = layers[i];
    const std::string name = "layers[" + std::to_string(i) + "]: ";
    if (in < 1 || out < 1) {
      throw InvalidInput(name + "expected positive sizes, got " + std::to_string(in) +
                         " inputs and " + std::to_string(out) + " outputs");
    }
    if (in != sizes.back()) {
      throw InvalidInput(name + "expected " + std::to_string(sizes.back()) +
                         " inputs (the outputs of the layer before), got " + std::to_string(in));
    }
    sizes.push_back(out);
  }
  return sizes;
}

}  // namespace admrl
