#include "bindings/layers.hpp"

#include <cstddef>
#include <string>

#include "bindings/arrays.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

LayerSize size_of(const Layers& layers, std::size_t i) {
  const std::string name = layers.weight_name(i);
  const auto sizes = sizes_of<float>(layers.weight(i), name.c_str(), {{"out"}, {"in"}});
  return {static_cast<int>(sizes[1]), static_cast<int>(sizes[0])};
}

PolicyLayer writeable_view(const Layers& layers, std::size_t i, LayerSize s) {
  const std::string weight = layers.weight_name(i), bias = layers.bias_name(i);
  return {
      write_span<float>(layers.weight(i), weight.c_str(), {{"out", s.out}, {"in", s.in}}).data(),
      write_span<float>(layers.bias(i), bias.c_str(), {{"out", s.out}}).data(), s.in, s.out};
}

}  // namespace

Layers::Layers(const char* name, const py::sequence& layers) : name_(name) {
  for (const py::handle item : py::tuple(layers)) {
    const std::string problem = index(pairs_.size()) + ": expected (weight, bias)";
    if (!py::isinstance<py::sequence>(item)) throw InvalidInput(problem);
    const py::tuple pair(py::reinterpret_borrow<py::object>(item));
    if (pair.size() != 2) throw InvalidInput(problem);
    pairs_.emplace_back(pair[0], pair[1]);
  }
}

std::vector<MlpLayer> layer_views(const Layers& layers) {
  std::vector<MlpLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto [in, out] = size_of(layers, i);
    const std::string weight = layers.weight_name(i), bias = layers.bias_name(i);
    views.push_back(
        {read_span<float>(layers.weight(i), weight.c_str(), {{"out", out}, {"in", in}}).data(),
         read_span<float>(layers.bias(i), bias.c_str(), {{"out", out}}).data(), in, out});
  }
  return views;
}

std::vector<PolicyLayer> policy_layers(const Layers& layers) {
  std::vector<PolicyLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    views.push_back(writeable_view(layers, i, size_of(layers, i)));
  }
  return views;
}

std::vector<TrainedLayer> trained_layers(const Layers& layers, const Layers& first,
                                         const Layers& second) {
  if (first.size() != layers.size() || second.size() != layers.size()) {
    throw InvalidInput("first, second: expected one pair of moments for each of the " +
                       std::to_string(layers.size()) + " layers, got " +
                       std::to_string(first.size()) + " and " + std::to_string(second.size()));
  }
  std::vector<TrainedLayer> views;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSize size = size_of(layers, i);
    const PolicyLayer p = writeable_view(layers, i, size);
    const PolicyLayer m = writeable_view(first, i, size);
    const PolicyLayer v = writeable_view(second, i, size);
    views.push_back({p.weight, p.bias, m.weight, m.bias, v.weight, v.bias, size.in, size.out});
  }
  return views;
}

}  // namespace admrl
