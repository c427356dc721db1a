-- Where apps stand, for `decide` in galaxy/domain/base_images/updates.py. An app is PER_APP strings: app, updates, seen; then of its
-- newest version number, state, automatic, base image, base digest, resolved at, platform digest, made, state of made;
-- then the same of its active version, empty but for the number if that is the newest.
local PER_VERSION = 9
local PER_APP = 3 + 2 * PER_VERSION
local FAILED = {build_failed = true, rollout_failed = true, cancelled = true, superseded = true}

local function read_version(app, number, prefixes)
  return redis.call('HMGET', prefixes.versions .. app .. ':' .. number,
    'state', 'automatic', 'base_reference', 'base_digest', 'resolved_at', 'origin')
end

local function append_version(reply, app, number, version, content, prefixes)
  local state, automatic, image, digest, resolved_at, origin = unpack(version)
  local platform = digest and redis.call('HGET', prefixes.platforms, digest)
  local made = redis.call('HGET', prefixes.made .. app, content .. ' ' .. (origin or number))
  local made_state = made and redis.call('HGET', prefixes.versions .. app .. ':' .. made, 'state')
  for _, value in ipairs({number, state, automatic or '0', image or '', digest or '', resolved_at or '',
    platform or '', made or '', made_state or ''}) do reply[#reply + 1] = value end
end

-- Appends an app's strings to the reply, and returns `seen`, which stands for all of them; nil for an app without versions.
local function snapshot(reply, app, content, prefixes)
  local last, active, updates = unpack(redis.call('HMGET', prefixes.apps .. app, 'last', 'active', 'updates'))
  if not last then return nil end
  local newest, version = last, read_version(app, last, prefixes)
  if FAILED[version[1]] then
    -- it came to nothing; an earlier one may still be on its way to serve the app
    local unfinished = redis.call('ZREVRANGE', prefixes.unfinished .. app, 0, 0)[1]
    if unfinished and tonumber(unfinished) > tonumber(active or '0') then
      newest, version = unfinished, read_version(app, unfinished, prefixes)
    end
  end
  local first = #reply + 1
  for _, value in ipairs({app, updates or 'on', ''}) do reply[#reply + 1] = value end
  append_version(reply, app, newest, version, content, prefixes)
  if active and active ~= newest then
    append_version(reply, app, active, read_version(app, active, prefixes), content, prefixes)
  else
    reply[#reply + 1] = active or ''
    for _ = 2, PER_VERSION do reply[#reply + 1] = '' end
  end
  reply[first + 2] = redis.sha1hex(table.concat(reply, '\n', first, first + PER_APP - 1))
  return reply[first + 2]
end
