// Layers as Python gives them: sequences of (weight (out, in), bias (out,)) float32.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/layers.hpp"

namespace admrl {

// The items of a sequence, taken once and kept: a sequence may make its items when it is asked for
// them, and change. What views them keeps this.
class Layers {
 public:
  // `name` is what the caller calls it, for messages.
  Layers(const char* name, const pybind11::sequence& layers);

  std::size_t size() const { return pairs_.size(); }
  pybind11::object weight(std::size_t i) const { return pairs_[i].first; }
  pybind11::object bias(std::size_t i) const { return pairs_[i].second; }
  std::string weight_name(std::size_t i) const { return index(i) + " weight"; }
  std::string bias_name(std::size_t i) const { return index(i) + " bias"; }

 private:
  std::string index(std::size_t i) const { return name_ + "[" + std::to_string(i) + "]"; }

  std::string name_;
  std::vector<std::pair<pybind11::object, pybind11::object>> pairs_;
};

// Raises InvalidInput, which names `layers[i]`, for arrays of another shape, type or layout.
std::vector<MlpLayer> layer_views(const Layers& layers);

// Writeable. Raises InvalidInput likewise.
std::vector<PolicyLayer> policy_layers(const Layers& layers);

// Writeable, with their Adam moments, which are shaped alike. Raises InvalidInput likewise.
std::vector<TrainedLayer> trained_layers(const Layers& layers, const Layers& first,
                                         const Layers& second);

}  // namespace admrl
