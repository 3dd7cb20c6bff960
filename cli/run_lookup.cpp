#include "cli/run_lookup.hpp"

#include "cli/fields.hpp"
#include "client/http_client.hpp"
#include "common/ids.hpp"

#include <algorithm>

namespace linarite::cli {

constexpr std::size_t candidates_shown = 10;

Result<Json> find_run(Connection& connection, const std::string& part) {
    if (const auto name = parse_name(part, "run id"); name) {
        auto run = connection.get("/api/v1/runs/" + client::encode_part(part));
        if (run || run.error().code() != Errc::not_found) {
            return run;
        }
    }
    if (part.empty()) {
        return Error(Errc::invalid_argument, "an empty run id");
    }
    const auto page = connection.get("/api/v1/runs?limit=100&text=" + client::encode_part(part));
    if (!page) {
        return page.error();
    }
    std::vector<Json> found;
    for (const Json& run : member(*page, "runs")) {
        if (text(run, "run_id").find(part) != std::string::npos) { // the text may also stand elsewhere in a run
            found.push_back(run);
        }
    }
    if (found.empty()) {
        return Error(Errc::not_found, "run '" + part + "' not found");
    }
    if (found.size() == 1) {
        return found.front();
    }
    std::string message = "'" + part + "' is part of several run ids:";
    for (std::size_t i = 0; i < std::min(found.size(), candidates_shown); ++i) {
        message += "\n  " + text(found[i], "run_id");
    }
    if (found.size() > candidates_shown) {
        message += "\n  and " + std::to_string(found.size() - candidates_shown) + " more";
    }
    return Error(Errc::invalid_argument, message);
}

std::string run_target(const Json& run, const std::string& rest) {
    return "/api/v1/runs/" + client::encode_part(text(run, "run_id")) + rest;
}

} // namespace linarite::cli
