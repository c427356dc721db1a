-- include: snapshot.lua
-- Where a page of apps stands. KEYS 1: platforms, 2: a set of apps.
-- ARGV 1: content, 2: 'after' or 'first', 3: limit, 4: after which app ('' for the first page), 5-8: prefixes of apps,
-- versions, made and unfinished. 'after' pages through a set by name, 'first' takes those with the lowest scores.
-- Returns {last app or empty, flat list of apps and scores (of 'first'), snapshots}.
local prefixes = {platforms = KEYS[1], apps = ARGV[5], versions = ARGV[6], made = ARGV[7], unfinished = ARGV[8]}
local apps, scores = nil, {}
if ARGV[2] == 'after' then
  apps = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[4] == '' and '-' or '(' .. ARGV[4], '+', 'LIMIT', 0, ARGV[3])
else
  scores = redis.call('ZRANGE', KEYS[2], 0, ARGV[3] - 1, 'WITHSCORES')
  apps = {}
  for i = 1, #scores, 2 do table.insert(apps, scores[i]) end
end
local snapshots = {}
for _, app in ipairs(apps) do snapshot(snapshots, app, ARGV[1], prefixes) end
return {apps[#apps] or '', scores, snapshots}
