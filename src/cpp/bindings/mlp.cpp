#include "core/network/mlp.hpp"

#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "bindings/gil.hpp"
#include "bindings/layers.hpp"

namespace admrl {

namespace py = pybind11;

namespace {

Activation activation_named(const std::string& name) {
  if (name == "tanh") return Activation::tanh;
  if (name == "relu") return Activation::relu;
  throw InvalidInput("activation: expected 'tanh' or 'relu', got '" + name + "'");
}

py::array_t<float> mlp_forward(const py::sequence& layers, const std::string& activation,
                               const py::object& x) {
  const Layers kept("layers", layers);
  const PackedMlp mlp(kept.read(), activation_named(activation));
  const auto rows = sizes_of<float>(x, "x", {{"M"}, {"in", mlp.in_dim()}})[0];
  const auto in = read_span<float>(x, "x", {{"M", rows}, {"in", mlp.in_dim()}});
  NewArray<float> out({rows, mlp.out_dim()});
  {
    const ReleasedGil released;
    std::vector<float> scratch(static_cast<std::size_t>(mlp.scratch_size()));
    const auto in_dim = static_cast<std::size_t>(mlp.in_dim());
    const auto out_dim = static_cast<std::size_t>(mlp.out_dim());
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
      mlp.forward(in.data() + i * in_dim, out.span.data() + i * out_dim, scratch.data());
    }
  }
  return out.array;
}

}  // namespace

void bind_mlp(py::module_& m) {
  m.def("mlp_forward", &mlp_forward, py::arg("layers"), py::arg("activation"), py::arg("x"),
        R"(Forward pass of a dense network, sample by sample, on the kernels that rollouts use.

Args:
    layers: [(weight (out, in), bias (out,)), ...] float32; copied for the call.
    activation: "tanh" or "relu", after every layer but the last.
    x: (M, in) float32, viewed.

Returns:
    (M, out) float32.

Raises:
    ValueError: layers that do not chain, or an array of another shape or type.

Determinism: the bits depend on the arguments and on `build_info()["kernels"]` alone.)");
}

}  // namespace admrl
