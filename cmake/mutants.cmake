# Libraries and programs with planted defects (base/mutant.h), one of which is chosen at run time.
#
#   weir_mutants_uses(OUT stages sim ...)
#       Names of libraries that have everything in them: for each one that plants defects, or uses
#       one that does, there is a twin NAME_mutants, compiled from the same sources with
#       WEIR_MUTANTS defined. The others are themselves. Twins are made when they are asked for.
#   weir_mutants_test(NAME)
#       The test NAME once more, with defects: executable mutant_NAME (in <build>/tests). Its first
#       argument is the defect's name. It is registered nowhere: scripts run it.

include_guard(GLOBAL)

# Where defects may be planted. tests/sim/test_mutants_trace fails if one is anywhere else.
set(WEIR_MUTANTS_PLANTED entry wire raft storage stages)

weir_library(mutant SOURCES ${PROJECT_SOURCE_DIR}/base/mutant.c USES base)
target_compile_definitions(weir_mutant PRIVATE WEIR_MUTANTS)

function(weir_mutants_uses out)
    set(result "")
    foreach(name IN LISTS ARGN)
        weir_mutants_twin(${name} twin)
        list(APPEND result ${twin})
    endforeach()
    set(${out} "${result}" PARENT_SCOPE)
endfunction()

function(weir_mutants_twin name out)
    if(TARGET weir_${name}_mutants)
        set(${out} ${name}_mutants PARENT_SCOPE)
        return()
    endif()
    get_target_property(uses weir_${name} WEIR_USES)
    weir_mutants_uses(uses_twins ${uses})
    if(NOT name IN_LIST WEIR_MUTANTS_PLANTED AND uses STREQUAL uses_twins)
        set(${out} ${name} PARENT_SCOPE)
        return()
    endif()
    get_target_property(sources weir_${name} SOURCES)
    get_target_property(directory weir_${name} SOURCE_DIR)
    get_target_property(libraries weir_${name} WEIR_LIBRARIES)
    list(TRANSFORM sources PREPEND ${directory}/)
    weir_library(${name}_mutants SOURCES ${sources} USES ${uses_twins} mutant
        LIBRARIES ${libraries})
    target_compile_definitions(weir_${name}_mutants PRIVATE WEIR_MUTANTS)
    foreach(property COMPILE_DEFINITIONS INTERFACE_COMPILE_DEFINITIONS)
        get_target_property(definitions weir_${name} ${property})
        if(definitions)
            set_property(TARGET weir_${name}_mutants APPEND PROPERTY ${property} ${definitions})
        endif()
    endforeach()
    set(${out} ${name}_mutants PARENT_SCOPE)
endfunction()

function(weir_mutants_test name)
    get_target_property(uses test_${name} WEIR_USES)
    get_target_property(libraries test_${name} WEIR_LIBRARIES)
    weir_mutants_uses(uses_twins ${uses})
    add_executable(mutant_${name}
        $<TARGET_OBJECTS:test_${name}> ${PROJECT_SOURCE_DIR}/tests/mutant_main.c)
    set_target_properties(mutant_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    weir_link(mutant_${name} PRIVATE "${uses_twins};mutant" "${libraries}")
    target_link_options(mutant_${name} PRIVATE -Wl,--wrap=main)
    get_target_property(options test_${name} LINK_OPTIONS)
    list(FILTER options INCLUDE REGEX "--wrap")
    if(options)
        target_link_options(mutant_${name} PRIVATE ${options})
    endif()
    target_link_libraries(mutant_${name} PRIVATE cmocka)
endfunction()
