-- Where apps stand, for `decide` in galaxy/domain/updates.py. An app is LEVEL strings: app, updates, seen; then of its
-- newest version number, state, automatic, base image, base digest, resolved at, platform digest, made, state of made;
-- then the same of its active version, empty but for the number if that is the newest.
local OF_VERSION = 9
local LEVEL = 3 + 2 * OF_VERSION
local FAILED = {build_failed = true, rollout_failed = true, cancelled = true, superseded = true}

-- The newest version; if that came to nothing while an earlier one is still on its way to serve the app, the earlier one.
local function newest_of(app, last, active, prefixes)
  if not FAILED[redis.call('HGET', prefixes.versions .. app .. ':' .. last, 'state')] then return last end
  local unfinished = redis.call('ZREVRANGE', prefixes.unfinished .. app, 0, 0)[1]
  if unfinished and tonumber(unfinished) > tonumber(active or '0') then return unfinished end
  return last
end

local function level_of_version(reply, app, number, content, prefixes)
  if not number then
    for _ = 1, OF_VERSION do table.insert(reply, '') end
    return
  end
  local key = prefixes.versions .. app .. ':'
  local state, automatic, image, digest, resolved_at, origin = unpack(redis.call('HMGET', key .. number,
    'state', 'automatic', 'base_reference', 'base_digest', 'resolved_at', 'origin'))
  local platform = digest and redis.call('HGET', prefixes.platforms, digest)
  local made = redis.call('HGET', prefixes.made .. app, content .. ' ' .. (origin or number))
  local made_state = made and redis.call('HGET', key .. made, 'state')
  for _, value in ipairs({number, state, automatic or '0', image or '', digest or '', resolved_at or '',
    platform or '', made or '', made_state or ''}) do table.insert(reply, value) end
end

-- Appends an app's strings to the reply, and returns `seen`, which stands for all of them; nil for an app without versions.
local function level(reply, app, content, prefixes)
  local last, active, updates = unpack(redis.call('HMGET', prefixes.apps .. app, 'last', 'active', 'updates'))
  if not last then return nil end
  local newest = newest_of(app, last, active, prefixes)
  local first = #reply + 1
  table.insert(reply, app)
  table.insert(reply, updates or 'on')
  table.insert(reply, '')
  level_of_version(reply, app, newest, content, prefixes)
  level_of_version(reply, app, active ~= newest and active, content, prefixes)
  if active == newest then reply[first + 3 + OF_VERSION] = active end
  reply[first + 2] = redis.sha1hex(table.concat(reply, '\n', first, first + LEVEL - 1))
  return reply[first + 2]
end
