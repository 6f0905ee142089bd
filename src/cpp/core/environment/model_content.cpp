#include "core/environment/model_content.hpp"

#include <mujoco/mjxmacro.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <type_traits>

namespace admrl {

namespace {

void append(std::string& text, const char* format, double value) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), format, value + 0.0);  // -0 is 0
  text.append(digits.data());
}

template <class T>
void append(std::string& text, T value) {
  if constexpr (std::is_same_v<T, float>) {
    append(text, "%.6g ", static_cast<double>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    append(text, "%.9g ", static_cast<double>(value));
  } else if constexpr (std::is_same_v<T, char>) {
    text.push_back(value);
  } else {
    text.append(std::to_string(value)).push_back(' ');
  }
}

template <class T>
std::string joined(const T* values, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) append(text, values[i]);
  return text;
}

bool is_path(const std::string& name) { return name == "paths" || name.ends_with("_pathadr"); }

}  // namespace

std::map<std::string, std::string> model_content(const mjModel* m) {
  std::map<std::string, std::string> content;
#define X(type, name, size) content["option " #name] = joined(&m->opt.name, 1);
#define XVEC(type, name, size) content["option " #name] = joined(m->opt.name, size);
  MJOPTION_FIELDS
#undef X
#undef XVEC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // MuJoCo's macro takes sizes as int
  MJMODEL_POINTERS_PREAMBLE(m)
#pragma GCC diagnostic pop
#define X(type, name, rows, columns)                                                            \
  if (!is_path(#name)) {                                                                        \
    content[#name] =                                                                            \
        joined(m->name, static_cast<std::size_t>(m->rows) * static_cast<std::size_t>(columns)); \
  }
  MJMODEL_POINTERS
#undef X
  return content;
}

}  // namespace admrl
