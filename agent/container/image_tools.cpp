#include "agent/container/image_tools.hpp"

#include "agent/container/container_tool.hpp"
#include "common/hash.hpp"

#include <algorithm>
#include <array>

namespace linarite::agent {

namespace {

/// Of the node's own variables the installer's settings alone go in; the others are about the node.
bool is_for_installer(const std::string& name) {
    static constexpr std::array others{"HTTP_PROXY",  "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy",
                                       "https_proxy", "all_proxy",   "no_proxy",  "NO_COLOR", "SSL_CERT_FILE"};
    return name.starts_with("UV_") || name.starts_with("PIP_") ||
           std::any_of(others.begin(), others.end(), [&](const char* other) { return name == other; });
}

/// Those of a list of places, separated by commas, that are on this node.
void mount_folders(const std::string& places, ContainerSpec& spec) {
    for (std::size_t at = 0; at < places.size();) {
        const std::size_t end = std::min(places.find(',', at), places.size());
        const std::string place = places.substr(at, end - at);
        std::error_code ec;
        if (place.starts_with('/') && fs::exists(place, ec)) {
            spec.mounts.push_back({place, true});
        }
        at = end + 1;
    }
}

ContainerSpec make_spec(const Image& image, const std::string& user, const std::map<std::string, std::string>& labels,
                        const ProcessOrder& order) {
    ContainerSpec spec;
    spec.image = image.facts.id;
    spec.argv = order.arguments;
    spec.user = user;
    spec.folder = order.folder;
    spec.labels = labels;
    spec.mounts = {{order.folder, false}};
    spec.variables["HOME"] = "/tmp";
    // runs see the environment read-only: without it each of them would compile all that it imports; uv can't for 3.6
    if (image.python_version >= PythonVersion{3, 7, 0}) {
        spec.variables["UV_COMPILE_BYTECODE"] = "1";
    }
    for (const auto& [name, value] : order.variables) {
        if (!is_for_installer(name)) {
            continue;
        }
        spec.variables[name] = value;
        std::error_code ec;
        if (name == "SSL_CERT_FILE" && fs::exists(value, ec)) {
            spec.mounts.push_back({value, true});
        }
        if (name == "UV_FIND_LINKS") {
            mount_folders(value, spec);
        }
    }
    std::error_code ec;
    const fs::path program = fs::canonical(order.arguments.front(), ec);
    if (!ec) {
        spec.argv.front() = program.string();
        spec.mounts.push_back({program, true});
    }
    return spec;
}

asio::awaitable<Result<ProcessEnd>> run_tool(std::shared_ptr<Engine> engine, ContainerSpec spec, ProcessOrder order,
                                             LineSink on_line, CancelToken cancel) {
    const std::string name = "linarite-tool-" + sha256_hex(spec.image + order.place).substr(0, 16);
    co_await engine->remove(name);
    auto line = [on_line = std::move(on_line)](const std::string& text) { on_line(text); };
    auto end =
        co_await run_in_container(engine, name, std::move(spec), order.limit, std::move(line), std::move(cancel));
    co_return end;
}

} // namespace

ToolRunner make_image_tools(std::shared_ptr<Engine> engine, const Image& image, std::string user,
                            std::map<std::string, std::string> labels) {
    return [engine = std::move(engine), image, user = std::move(user),
            labels = std::move(labels)](ProcessOrder order, LineSink on_line, CancelToken cancel) {
        ContainerSpec spec = make_spec(image, user, labels, order);
        return run_tool(engine, std::move(spec), std::move(order), std::move(on_line), std::move(cancel));
    };
}

} // namespace linarite::agent
