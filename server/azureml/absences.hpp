// server/azureml/absences.hpp: what there is in Azure Machine Learning and not here, in words for people.
#pragma once

#include "server/azureml/call.hpp"

namespace linarite::azureml {

/// Says what of Azure is not here and what to do instead, as far as the path tells, in every place where the SDK's
/// parts look for words. Each path is logged once.
asio::awaitable<void> reply_not_emulated(Call call);

} // namespace linarite::azureml
