#include "bindings/layers.hpp"

#include "bindings/arrays.hpp"

namespace admrl {

namespace py = pybind11;

Layers::Layers(std::string name, const py::sequence& layers) : name_(std::move(name)) {
  for (const py::handle item : py::tuple(layers)) {
    const std::string problem = joined(name_, "[", pairs_.size(), "]: expected (weight, bias)");
    require(py::isinstance<py::sequence>(item), problem);
    const py::tuple pair(py::reinterpret_borrow<py::object>(item));
    require(pair.size() == 2, problem);
    pairs_.emplace_back(pair[0], pair[1]);
  }
}

template <class Number>
std::vector<LayerOf<Number>> Layers::views(const Layers& shaped_as) const {
  std::vector<LayerOf<Number>> views;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto name = [i](const Layers& l, const char* part) {
      return joined(l.name_, "[", i, "] ", part);
    };
    const auto sizes =
        read_span<float>(shaped_as.pairs_[i].first, name(shaped_as, "weight"), {{"out"}, {"in"}})
            .shape;
    const Dim out{"out", sizes[0]}, in{"in", sizes[1]};
    views.push_back({view<Number>(pairs_[i].first, name(*this, "weight"), {out, in}).data(),
                     view<Number>(pairs_[i].second, name(*this, "bias"), {out}).data(),
                     static_cast<int>(in.size), static_cast<int>(out.size)});
  }
  return views;
}
template std::vector<MlpLayer> Layers::views(const Layers&) const;
template std::vector<WritableLayer> Layers::views(const Layers&) const;

std::vector<TrainedLayer> Layers::train(const Layers& first, const Layers& second) const {
  require(first.pairs_.size() == pairs_.size() && second.pairs_.size() == pairs_.size(),
          "first, second: expected one pair of moments for each of the ", pairs_.size(),
          " layers, got ", first.pairs_.size(), " and ", second.pairs_.size());
  const auto parameters = write(), means = first.views<float>(*this),
             squares = second.views<float>(*this);
  std::vector<TrainedLayer> trained;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    trained.push_back({parameters[i], means[i], squares[i]});
  }
  return trained;
}

}  // namespace admrl
