# Fails if a kernel object shares a function or variable with the rest of the program: the linker
# could then give the whole program the copy that was compiled for a newer CPU.
# NM: the tool; OBJECTS: the object files.
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND "${NM}" "${object}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(NOT symbols MATCHES "kernels_")
    message(FATAL_ERROR "${object}: no kernel table in it")
  endif()
  string(REGEX MATCHALL "[^\n]* [WVuvw] [^\n]*" shared "${symbols}")
  # What exceptions need in a build without optimisation: a pointer, the same in every file.
  list(FILTER shared EXCLUDE REGEX "DW\\.ref\\.__gxx_personality")
  if(shared)
    message(FATAL_ERROR "${object}: symbols shared with other files:\n${shared}")
  endif()
endforeach()
