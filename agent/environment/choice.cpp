#include "agent/environment/choice.hpp"

#include <algorithm>

namespace linarite::agent {

bool is_sdk_default_python(const std::string& version) {
    // of azureml-core 1.61, of those from 1.4x on, and of those before
    return version.empty() || version == "3.10.18" || version == "3.8.13" || version == "3.6.2";
}

bool is_own_channel(const std::string& channel) {
    const bool has_scheme = channel.find("://") != std::string::npos;
    const bool is_public = channel.starts_with("https://conda.anaconda.org/") ||
                           channel.starts_with("https://repo.anaconda.com/") || channel.starts_with("http://conda.");
    return (has_scheme && !is_public) || channel.starts_with('/');
}

ProviderChoice choose_provider(const proto::PythonEnvironment& python, const NodeFacts& node) {
    if (python.user_managed) {
        return {ProviderKind::user_managed, ""};
    }
    const bool conda_packages = !python.conda_packages.empty();
    const bool packages = conda_packages || !python.pip_packages.empty();
    const bool other_python = !node.python_fits && !is_sdk_default_python(python.python_version);
    ProviderChoice without_conda{packages ? ProviderKind::pip : ProviderKind::plain, ""};
    if (!packages && !other_python) {
        return without_conda;
    }
    const std::string tool = node.conda.empty() ? "rattler, which this agent installs for itself" : node.conda;
    switch (node.policy) {
    case PackagePolicy::pip: return {without_conda.kind, "no conda: this node's operator wants pip (--packages pip)"};
    case PackagePolicy::conda: return {ProviderKind::conda, "conda (" + tool + "), as this node's operator wants it"};
    case PackagePolicy::automatic: break;
    }
    const auto own = std::ranges::find_if(python.channels, is_own_channel);
    if ((conda_packages || other_python) && own != python.channels.end()) {
        return {ProviderKind::conda, "conda (" + tool + "): the run names channel '" + *own + "'"};
    }
    if (node.conda.empty()) {
        return {without_conda.kind, conda_packages
                                        ? "no conda: this node has no conda tool, so conda's packages are taken "
                                          "by their names on the package index (--packages conda, or a conda, "
                                          "mamba or micromamba on the agent's PATH changes that)"
                                        : ""};
    }
    if (conda_packages) {
        return {ProviderKind::conda, "conda (" + tool + "): packages of conda are asked for, and this node has it"};
    }
    if (other_python) {
        return {ProviderKind::conda, "conda (" + tool + "): python " + python.python_version +
                                         " is asked for, and what is here is " + node.nearest_python};
    }
    return {without_conda.kind, "no conda: no package of conda is asked for"};
}

} // namespace linarite::agent
