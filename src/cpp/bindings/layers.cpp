#include "bindings/layers.hpp"

#include <span>
#include <string>

#include "bindings/arrays.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

struct Pair {
  std::span<float> weight;
  std::span<float> bias;
};

// Writeable views of (weight (out, in), bias (out)).
Pair pair_views(const py::handle item, const std::string& name, py::ssize_t out, py::ssize_t in) {
  const auto pair = py::cast<py::sequence>(item);
  if (pair.size() != 2) throw InvalidInput(name + ": expected (weight, bias)");
  const py::object weight = pair[0], bias = pair[1];
  return {write_span<float>(weight, (name + " weight").c_str(), {{"out", out}, {"in", in}}),
          write_span<float>(bias, (name + " bias").c_str(), {{"out", out}})};
}

}  // namespace

std::vector<MlpLayer> layer_views(const py::sequence& layers) {
  std::vector<MlpLayer> views;
  for (const py::handle item : layers) {
    const std::string name = "layers[" + std::to_string(views.size()) + "]";
    const auto pair = py::cast<py::sequence>(item);
    if (pair.size() != 2) throw InvalidInput(name + ": expected (weight, bias)");
    const py::object weight = pair[0], bias = pair[1];
    const auto sizes = sizes_of<float>(weight, (name + " weight").c_str(), {{"out"}, {"in"}});
    const auto w =
        read_span<float>(weight, (name + " weight").c_str(), {{"out", sizes[0]}, {"in", sizes[1]}});
    const auto b = read_span<float>(bias, (name + " bias").c_str(), {{"out", sizes[0]}});
    views.push_back({w.data(), b.data(), static_cast<int>(sizes[1]), static_cast<int>(sizes[0])});
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
    const std::string index = "[" + std::to_string(i) + "]";
    const auto pair = py::cast<py::sequence>(layers[i]);
    if (pair.size() != 2) throw InvalidInput("layers" + index + ": expected (weight, bias)");
    const py::object weight = pair[0];
    const auto size =
        sizes_of<float>(weight, ("layers" + index + " weight").c_str(), {{"out"}, {"in"}});
    const Pair p = pair_views(layers[i], "layers" + index, size[0], size[1]);
    const Pair m = pair_views(first[i], "first" + index, size[0], size[1]);
    const Pair v = pair_views(second[i], "second" + index, size[0], size[1]);
    views.push_back({p.weight.data(), p.bias.data(), m.weight.data(), m.bias.data(),
                     v.weight.data(), v.bias.data(), static_cast<int>(size[1]),
                     static_cast<int>(size[0])});
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
