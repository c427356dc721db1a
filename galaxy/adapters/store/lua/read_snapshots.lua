-- Reads where a page of apps stands.
-- KEYS: PLATFORMS, APPS
-- ARGV: content, way, limit, after, app_prefix, version_prefix, made_prefix, unfinished_prefix
--   way: 'after' pages through the set of apps by name, 'first' takes those with the lowest scores; after: the last app
--   of the page before, '' for the first page.
-- Returns {last app or '', flat list of apps and scores (of 'first'), snapshots as snapshot.lua writes them}.
local PLATFORMS, APPS = unpack(KEYS)
local content, way, limit, after, app_prefix, version_prefix, made_prefix, unfinished_prefix = unpack(ARGV)
-- include: snapshot.lua
local apps, scores = nil, {}
if way == 'after' then
  apps = redis.call('ZRANGEBYLEX', APPS, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
else
  scores = redis.call('ZRANGE', APPS, 0, limit - 1, 'WITHSCORES')
  apps = {}
  for i = 1, #scores, 2 do table.insert(apps, scores[i]) end
end
local snapshots = {}
for _, app in ipairs(apps) do snapshot(snapshots, app, content) end
return {apps[#apps] or '', scores, snapshots}
