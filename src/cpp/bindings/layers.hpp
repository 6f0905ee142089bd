// Layers as Python gives them: sequences of (weight (out, in), bias (out,)) float32. Views; the
// sequences keep the arrays alive.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "core/layers.hpp"

namespace admrl {

// Raises InvalidInput, which names `layers[i]`, for arrays of another shape, type or layout.
std::vector<MlpLayer> layer_views(const pybind11::sequence& layers);

// Writeable. Raises InvalidInput likewise.
std::vector<PolicyLayer> policy_layers(const pybind11::sequence& layers);

// Writeable, with their Adam moments, which are shaped alike. Raises InvalidInput likewise.
std::vector<TrainedLayer> trained_layers(const pybind11::sequence& layers,
                                         const pybind11::sequence& first,
                                         const pybind11::sequence& second);

// The arrays themselves: whoever keeps views keeps these, as a sequence may change.
pybind11::list arrays_of(const pybind11::sequence& layers);

}  // namespace admrl
