#include "agent/container/container_tool.hpp"

#include "agent/container/alarm.hpp"

#include <boost/asio/co_spawn.hpp>
#include <spdlog/spdlog.h>

#include <csignal>

namespace linarite::agent {

namespace {

asio::awaitable<Result<ProcessEnd>> follow(std::shared_ptr<Engine> engine, std::string name,
                                           std::chrono::milliseconds limit, LineOut line, CancelToken cancel) {
    CancelToken stop;
    const auto hook = cancel.on_cancel([stop] { stop.cancel(); });
    const Alarm alarm(co_await asio::this_coro::executor, limit, stop);
    const auto read = co_await engine->read_output(name, true, std::move(line), stop);
    ProcessEnd end;
    end.timed_out = alarm.rung();
    end.cancelled = cancel.cancelled();
    if (end.timed_out || end.cancelled) {
        end.signal = SIGKILL;
        co_return end;
    }
    if (!read) {
        co_return read.error();
    }
    const auto exit_code = co_await engine->wait(name); // its output may end before it does
    if (!exit_code) {
        co_return exit_code.error();
    }
    end.exit_code = *exit_code;
    co_return end;
}

} // namespace

Error start_failure(const Error& error, const ContainerSpec& spec) {
    const std::string& words = error.detail();
    const bool missing = words.find("no such file or directory") != std::string::npos ||
                         words.find("executable file not found") != std::string::npos;
    if (missing && !spec.argv.empty() && words.find(spec.argv.front()) != std::string::npos) {
        return {Errc::not_found,
                "'" + spec.argv.front() + "' can't be started in image '" + spec.image + "': " + words};
    }
    return error;
}

asio::awaitable<Result<ProcessEnd>> run_in_container(std::shared_ptr<Engine> engine, std::string name,
                                                     ContainerSpec spec, std::chrono::milliseconds limit, LineOut line,
                                                     CancelToken cancel) {
    const auto made = co_await engine->create(name, spec);
    if (!made) {
        co_return made.error();
    }
    Result<ProcessEnd> end = ProcessEnd();
    if (const auto started = co_await engine->start(name); started) {
        end = co_await follow(engine, name, limit, std::move(line), std::move(cancel));
    } else {
        end = start_failure(started.error(), spec);
    }
    if (const auto removed = co_await engine->remove(name); !removed) {
        spdlog::warn("a container cannot be removed: name={} cause=\"{}\"", name, removed.error().detail());
    }
    co_return end;
}

} // namespace linarite::agent
