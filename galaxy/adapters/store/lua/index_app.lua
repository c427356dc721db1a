-- Records what an app depends on that was deployed before that was recorded.
-- KEYS: APP, BASE_IMAGES
-- ARGV: app, version_prefix, dependents_prefix, references
--   references: JSON, canonical references by the numbers of the versions that are built on them.
-- Returns nothing.
local APP, BASE_IMAGES = unpack(KEYS)
local app, version_prefix, dependents_prefix, references = unpack(ARGV)
-- include: dependents.lua
for number, reference in pairs(cjson.decode(references)) do
  local version = version_prefix .. app .. ':' .. number
  if redis.call('EXISTS', version) == 1 then redis.call('HSETNX', version, 'base_reference', reference) end
end
index_dependent(app, APP)
