#include "server/service/process_picture.hpp"

#include <algorithm>

namespace linarite::service {

namespace {

std::string status_of(const proto::RankEnd& end) {
    return end.ok() ? "Completed" : end.told ? "Canceled" : "Failed";
}

std::string status_without_end(const proto::RunReport* report, bool over) {
    if (over || (report != nullptr && report->phase >= proto::Phase::exited)) {
        return "Canceled"; // nobody has seen it end by itself
    }
    return report != nullptr && report->phase == proto::Phase::launched ? "Running" : "NotStarted";
}

} // namespace

ProcessState process_state(const proto::ProcessPlace& place, int processes, const NodeName& node,
                           const proto::RunReport* report, bool over) {
    ProcessState state{place,
                       node,
                       "azureml-logs/" + proto::driver_log_name(proto::file_word(place, processes)),
                       status_without_end(report, over),
                       0,
                       0};
    if (report == nullptr) {
        return state;
    }
    const auto end = std::ranges::find(report->ended, place.rank, &proto::RankEnd::rank);
    if (end != report->ended.end()) {
        state.status = status_of(*end);
        state.exit_code = end->exit_code;
        state.signal = end->signal;
    }
    return state;
}

proto::Json print_info(const ProcessPicture& picture) {
    proto::Json processes = proto::Json::array();
    for (const ProcessState& each : picture.processes) {
        processes.push_back({{"rank", each.place.rank},
                             {"role", proto::to_wire(each.place.role)},
                             {"index", each.place.index},
                             {"node", each.node.str()},
                             {"nodeIndex", each.place.node},
                             {"localRank", each.place.local_rank},
                             {"log", each.log}});
    }
    return {{"runId", picture.run.str()}, {"attempt", picture.attempt}, {"processes", std::move(processes)}};
}

proto::Json print_status(const ProcessPicture& picture) {
    proto::Json processes = proto::Json::array();
    for (const ProcessState& each : picture.processes) {
        processes.push_back({{"rank", each.place.rank},
                             {"status", each.status},
                             {"exitCode", each.exit_code},
                             {"signal", each.signal}});
    }
    return {{"runId", picture.run.str()},
            {"attempt", picture.attempt},
            {"updatedUtc", format_time(picture.at)},
            {"processes", std::move(processes)}};
}

} // namespace linarite::service
