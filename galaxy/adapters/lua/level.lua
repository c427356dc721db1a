-- Where apps stand, for `decide` in galaxy/domain/updates.py. An app is LEVEL strings: app, updates, seen; then of its
-- newest version number, state, automatic, base image, base digest, platform digest, made, state of made; then the same
-- of its active version, empty but for the number if that is the newest.
local LEVEL = 19

local function level_of_version(reply, app, number, content, prefixes)
  if not number then
    for _ = 1, 8 do table.insert(reply, '') end
    return
  end
  local key = prefixes.versions .. app .. ':'
  local state, automatic, image, digest, origin = unpack(
    redis.call('HMGET', key .. number, 'state', 'automatic', 'base_reference', 'base_digest', 'origin'))
  local platform = digest and redis.call('HGET', prefixes.platforms, digest)
  local made = redis.call('HGET', prefixes.made .. app, content .. ' ' .. (origin or number))
  local made_state = made and redis.call('HGET', key .. made, 'state')
  for _, value in ipairs({number, state, automatic or '0', image or '', digest or '', platform or '',
    made or '', made_state or ''}) do table.insert(reply, value) end
end

-- Appends an app's strings to the reply, and returns `seen`, which stands for all of them; nil for an app without versions.
local function level(reply, app, content, prefixes)
  local newest, active, updates = unpack(redis.call('HMGET', prefixes.apps .. app, 'last', 'active', 'updates'))
  if not newest then return nil end
  local first = #reply + 1
  table.insert(reply, app)
  table.insert(reply, updates or 'on')
  table.insert(reply, '')
  level_of_version(reply, app, newest, content, prefixes)
  level_of_version(reply, app, active ~= newest and active, content, prefixes)
  if active == newest then reply[first + 11] = active end
  reply[first + 2] = redis.sha1hex(table.concat(reply, '\n', first, first + LEVEL - 1))
  return reply[first + 2]
end
