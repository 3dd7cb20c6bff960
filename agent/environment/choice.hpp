// agent/environment/choice.hpp: who makes a run's environment, and why.
#pragma once

#include "agent/environment/provider.hpp"
#include "proto/run_definition.hpp"

#include <string>

namespace linarite::agent {

enum class ProviderKind { user_managed, plain, pip, conda };

/// What the choice needs to know of the node.
struct NodeFacts {
    PackagePolicy policy = PackagePolicy::automatic;
    std::string conda;          // the tool that is on it, in words; "" if there is none
    bool python_fits = true;    // an interpreter of the node (or of the run's image) is as the run asks for it
    std::string nearest_python; // the one that would be taken, in words
};

struct ProviderChoice {
    ProviderKind kind = ProviderKind::plain;
    std::string reason; // for the build log; "" if there was no choice
};

/// Conda by policy, or because a channel of the run's own is named, or if a conda tool is there and packages of conda
/// or a Python that the node lacks are asked for; else pip where packages are asked for, else an interpreter as it is.
ProviderChoice choose_provider(const proto::PythonEnvironment& python, const NodeFacts& node);

/// The SDK puts such a version in by itself, so it is nobody's wish.
bool is_sdk_default_python(const std::string& version);
/// Whether it is a place, and not the name of one of conda's public channels.
bool is_own_channel(const std::string& channel);

} // namespace linarite::agent
