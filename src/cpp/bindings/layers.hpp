// Layers as Python gives them: sequences of (weight (out, in), bias (out,)) float32.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/network/layers.hpp"

namespace admrl {

// The items of a sequence, taken once and kept: a sequence may make its items when it is asked for
// them, and change. What views them keeps this.
class Layers {
 public:
  // `name` is what the caller calls it, for messages.
  Layers(std::string name, const pybind11::sequence& layers);

  // Views of the arrays as they are now. Raise InvalidInput, which names `layers[i]`, for arrays of
  // another shape, type or layout.
  std::vector<MlpLayer> read() const { return views<const float>(*this); }
  std::vector<WritableLayer> write() const { return views<float>(*this); }
  // With their moments, which are shaped alike.
  std::vector<TrainedLayer> train(const Layers& first, const Layers& second) const;

 private:
  template <class Number>
  std::vector<LayerOf<Number>> views(const Layers& shaped_as) const;

  std::string name_;
  std::vector<std::pair<pybind11::object, pybind11::object>> pairs_;
};

}  // namespace admrl
