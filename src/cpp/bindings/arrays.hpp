// The only door between numpy and spans.
//
// Inputs are never converted or copied: an array of the wrong type, shape or layout is an error
// that says what was expected. A span is a view: the caller keeps the Python object alive while it
// uses it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/gil.hpp"
#include "core/check.hpp"

namespace admrl {

inline constexpr pybind11::ssize_t kAnySize = -1;

// One dimension of an expected shape: the documentation's letter and the size, or kAnySize.
struct Dim {
  const char* letter;
  pybind11::ssize_t size = kAnySize;
};

namespace detail {

inline std::string shape_text(const pybind11::array& a) {
  std::string text = "(";
  for (pybind11::ssize_t i = 0; i < a.ndim(); ++i) {
    text.append(i ? ", " : "").append(std::to_string(a.shape(i)));
  }
  return text + (a.ndim() == 1 ? ",)" : ")");
}

inline std::string expected_text(std::span<const Dim> dims, const pybind11::dtype& dtype) {
  std::string text = "(";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    text.append(i ? ", " : "").append(dims[i].letter);
    if (dims[i].size != kAnySize) text.append("=").append(std::to_string(dims[i].size));
  }
  return text + (dims.size() == 1 ? ",) " : ") ") + std::string(pybind11::str(dtype));
}

inline bool shape_matches(const pybind11::array& a, std::span<const Dim> dims) {
  if (a.ndim() != static_cast<pybind11::ssize_t>(dims.size())) return false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto size = a.shape(static_cast<pybind11::ssize_t>(i));
    if (dims[i].size != kAnySize && dims[i].size != size) return false;
  }
  return true;
}

// The value as an array of exactly this type, shape and C layout.
template <class T>
pybind11::array checked_array(pybind11::handle value, const std::string& name,
                              std::span<const Dim> dims) {
  namespace py = pybind11;
  const py::dtype dtype = py::dtype::of<T>();
  const std::string expected = name + ": expected " + expected_text(dims, dtype);
  if (!py::isinstance<py::array>(value)) {
    throw InvalidInput(expected + ", got " +
                       std::string(py::str(py::type::of(value).attr("__name__"))));
  }
  auto a = py::reinterpret_borrow<py::array>(value);
  if (!a.dtype().equal(dtype) || !shape_matches(a, dims)) {
    throw InvalidInput(expected + ", got " + shape_text(a) + " " + std::string(py::str(a.dtype())));
  }
  if (!(a.flags() & py::array::c_style)) {
    throw InvalidInput(expected + " in C order, got another layout (use numpy.ascontiguousarray)");
  }
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) {
    throw InvalidInput(expected + " at aligned addresses, got others (use numpy.require)");
  }
  if constexpr (std::is_same_v<T, bool>) {
    const auto* bytes = static_cast<const unsigned char*>(a.data());
    if (std::any_of(bytes, bytes + a.size(), [](unsigned char b) { return b > 1; })) {
      throw InvalidInput(expected + " of bytes 0 and 1, got others");
    }
  }
  return a;
}

}  // namespace detail

// A span and the sizes of the array that it views.
template <class T>
struct ArrayView : std::span<T> {
  std::vector<pybind11::ssize_t> shape;
};

// A view of an array of exactly this type and shape. It is read only where T is const; otherwise
// the array must be writeable.
template <class T>
ArrayView<T> view(pybind11::handle value, const std::string& name,
                  std::initializer_list<Dim> dims) {
  const std::span<const Dim> shape(dims.begin(), dims.size());
  auto a = detail::checked_array<std::remove_const_t<T>>(value, name, shape);
  T* data = nullptr;
  if constexpr (std::is_const_v<T>) {
    data = static_cast<T*>(a.data());
  } else {
    require(a.writeable(), name, ": expected a writeable array");
    data = static_cast<T*>(a.mutable_data());
  }
  return {{data, to_size(a.size())}, {a.shape(), a.shape() + a.ndim()}};
}

template <class T>
ArrayView<const T> read_span(pybind11::handle value, const std::string& name,
                             std::initializer_list<Dim> dims) {
  return view<const T>(value, name, dims);
}

// A new array (uninitialised, C order) and the span that fills it.
template <class T>
struct NewArray {
  explicit NewArray(std::vector<pybind11::ssize_t> shape)
      : array(std::move(shape)),
        span(array.mutable_data(), static_cast<std::size_t>(array.size())) {}
  pybind11::array_t<T> array;
  std::span<T> span;
};

// A new array that `fill` fills, which does without the interpreter's lock.
template <class T, class Fill>
pybind11::array_t<T> filled(std::vector<pybind11::ssize_t> shape, Fill fill) {
  NewArray<T> out(std::move(shape));
  {
    const ReleasedGil released;
    fill(out.span);
  }
  return out.array;
}

// A new one-dimensional array with these values.
template <class T>
pybind11::array_t<T> copied(const std::vector<T>& values) {
  NewArray<T> copy({static_cast<pybind11::ssize_t>(values.size())});
  std::copy(values.begin(), values.end(), copy.span.begin());
  return copy.array;
}

// What a word stands for. Raises InvalidInput for one that is none of the choices.
template <class T>
T choice(const std::string& name, const std::string& value,
         std::initializer_list<std::pair<const char*, T>> choices) {
  std::string expected;
  for (const auto& [word, result] : choices) {
    if (value == word) return result;
    expected.append(expected.empty() ? "" : ", ").append(word);
  }
  throw InvalidInput(joined(name, ": expected one of ", expected, ", got '", value, "'"));
}

}  // namespace admrl
