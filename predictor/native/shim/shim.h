// What the shims have in common: the form of tensors, and how errors leave them. Included once by each, which says `text_of`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

// One tensor. For BYTES, data has each element behind its length of 32 bits.
struct WeirTensor {
    const char* name;
    int32_t type;
    int32_t rank;
    const int64_t* shape;
    const void* data;
    uint64_t length;
};

namespace {

// What comes after the types of the Open Inference Protocol that have a size, by the predictor's numbers.
constexpr int32_t BYTES = 13;

// What an exception tells, without what only the framework's makers read.
std::string text_of(const std::exception& it);

// Runs what may throw; returns whether it did not.
template <typename F>
bool guarded(char* error, uint64_t room, F&& work) {
    std::string text;
    try {
        work();
        return true;
    } catch (const std::exception& it) {
        text = text_of(it);
    } catch (...) {
        text = "an exception that tells nothing";
    }
    if (room > 0) {
        const size_t length = std::min<size_t>(text.size(), room - 1);
        std::memcpy(error, text.data(), length);
        error[length] = 0;
    }
    return false;
}

[[noreturn]] void refuse(const std::string& text) {
    throw std::runtime_error(text);
}

std::string one_line(std::string text) {
    for (char& it : text) {
        if (it == '\n' || it == '\t') it = ' ';
    }
    return text;
}

}  // namespace
