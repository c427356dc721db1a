-- Needs: PLATFORMS, app_prefix, version_prefix, made_prefix, unfinished_prefix

-- Where apps stand, for `decide` in galaxy/domain/base_images/updates.py. An app is PER_APP strings: app, updates, seen;
-- then of its newest version number, state, automatic, base image, base digest, resolved at, platform digest, made,
-- state of made; then the same of its active version, empty but for the number if that is the newest.
local PER_VERSION = 9
local PER_APP = 3 + 2 * PER_VERSION
-- From galaxy/domain/states.py.
local FAILED_STATES = {@FAILED@}

local function read_version(app, number)
  return redis.call('HMGET', version_prefix .. app .. ':' .. number,
    'state', 'automatic', 'base_reference', 'base_digest', 'resolved_at', 'origin')
end

local function append_version(reply, app, number, version, content)
  local state, automatic, image, digest, resolved_at, origin = unpack(version)
  local platform = digest and redis.call('HGET', PLATFORMS, digest)
  local made = redis.call('HGET', made_prefix .. app, content .. ' ' .. (origin or number))
  local made_state = made and redis.call('HGET', version_prefix .. app .. ':' .. made, 'state')
  for _, value in ipairs({number, state, automatic or '0', image or '', digest or '', resolved_at or '',
    platform or '', made or '', made_state or ''}) do reply[#reply + 1] = value end
end

-- Appends an app's strings to the reply, and returns `seen`, which stands for all of them; nil for an app without
-- versions.
local function snapshot(reply, app, content)
  local last, active, updates = unpack(redis.call('HMGET', app_prefix .. app, 'last', 'active', 'updates'))
  if not last then return nil end
  local newest, version = last, read_version(app, last)
  if FAILED_STATES[version[1]] then
    -- it came to nothing; an earlier one may still be on its way to serve the app
    local unfinished = redis.call('ZREVRANGE', unfinished_prefix .. app, 0, 0)[1]
    if unfinished and tonumber(unfinished) > tonumber(active or '0') then
      newest, version = unfinished, read_version(app, unfinished)
    end
  end
  local first = #reply + 1
  for _, value in ipairs({app, updates or 'on', ''}) do reply[#reply + 1] = value end
  append_version(reply, app, newest, version, content)
  if active and active ~= newest then
    append_version(reply, app, active, read_version(app, active), content)
  else
    reply[#reply + 1] = active or ''
    for _ = 2, PER_VERSION do reply[#reply + 1] = '' end
  end
  reply[first + 2] = redis.sha1hex(table.concat(reply, '\n', first, first + PER_APP - 1))
  return reply[first + 2]
end
