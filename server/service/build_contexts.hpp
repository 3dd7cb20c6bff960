// server/service/build_contexts.hpp: where the folders lie that runs' images are built from.
#pragma once

#include "proto/run_definition.hpp"
#include "server/store/tables.hpp"

#include <map>
#include <string>

namespace linarite::service {

/// The same folder by its datastore, if it was named by its address in a blob container
/// ("https://ACCOUNT.blob.local@HOST/CONTAINER/PATH", or as Azure has it "https://ACCOUNT.blob.HOST/..."): by the
/// account and the container alone, as the coordinator has many host names. invalid_argument, with what to do, if none
/// of the datastores is that or has its name.
Result<proto::BuildContext> find_build_context(proto::BuildContext context,
                                               const std::map<std::string, store::DatastoreRow>& datastores);

} // namespace linarite::service
