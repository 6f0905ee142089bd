#include "bindings/layers.hpp"

#include <cstddef>
#include <string>

#include "bindings/arrays.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

// The sequence layers[i] and its name in messages.
struct Item {
  py::object weight, bias;
  std::string weight_name, bias_name;

  Item(const char* name, const py::sequence& layers, std::size_t i) {
    const std::string index = std::string(name) + "[" + std::to_string(i) + "]";
    const auto pair = py::cast<py::sequence>(layers[i]);
    if (pair.size() != 2) throw InvalidInput(index + ": expected (weight, bias)");
    weight = pair[0];
    bias = pair[1];
    weight_name = index + " weight";
    bias_name = index + " bias";
  }

  LayerSize size() const {
    const auto sizes = sizes_of<float>(weight, weight_name.c_str(), {{"out"}, {"in"}});
    return {static_cast<int>(sizes[1]), static_cast<int>(sizes[0])};
  }
  MlpLayer view() const {
    const auto [in, out] = size();
    return {read_span<float>(weight, weight_name.c_str(), {{"out", out}, {"in", in}}).data(),
            read_span<float>(bias, bias_name.c_str(), {{"out", out}}).data(), in, out};
  }
  PolicyLayer writeable_view(LayerSize s) const {
    return {write_span<float>(weight, weight_name.c_str(), {{"out", s.out}, {"in", s.in}}).data(),
            write_span<float>(bias, bias_name.c_str(), {{"out", s.out}}).data(), s.in, s.out};
  }
};

}  // namespace

std::vector<MlpLayer> layer_views(const py::sequence& layers) {
  std::vector<MlpLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) views.push_back(Item("layers", layers, i).view());
  return views;
}

std::vector<PolicyLayer> policy_layers(const py::sequence& layers) {
  std::vector<PolicyLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Item item("layers", layers, i);
    views.push_back(item.writeable_view(item.size()));
  }
  return views;
}

std::vector<TrainedLayer> trained_layers(const py::sequence& layers, const py::sequence& first,
                                         const py::sequence& second) {
  if (first.size() != layers.size() || second.size() != layers.size()) {
    throw InvalidInput("first, second: expected one pair of moments for each of the " +
                       std::to_string(layers.size()) + " layers, got " +
                       std::to_string(first.size()) + " and " + std::to_string(second.size()));
  }
  std::vector<TrainedLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Item item("layers", layers, i);
    const LayerSize size = item.size();
    const PolicyLayer p = item.writeable_view(size);
    const PolicyLayer m = Item("first", first, i).writeable_view(size);
    const PolicyLayer v = Item("second", second, i).writeable_view(size);
    views.push_back({p.weight, p.bias, m.weight, m.bias, v.weight, v.bias, size.in, size.out});
  }
  return views;
}

py::list arrays_of(const py::sequence& layers) {
  py::list arrays;
  for (const py::handle item : layers) {
    for (const py::handle array : py::cast<py::sequence>(item)) arrays.append(array);
  }
  return arrays;
}

}  // namespace admrl
