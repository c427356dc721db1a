-- include: supersede.lua
-- Needs: APP, UNFINISHED, version_prefix

-- Makes the record of an app's next version. `record`: what it holds besides, by name.
-- Returns its number and its key.
local function new_record(app, record)
  local now = ms(now_ms())
  local number = redis.call('HINCRBY', APP, 'last', 1)
  local version = version_prefix .. app .. ':' .. number
  local fields = {'app', app, 'number', number, 'state', 'queued', 'attempt', 0, 'token', 0,
    'created_at', now, 'enqueued_at', now}
  for name, value in pairs(record) do
    table.insert(fields, name)
    table.insert(fields, value)
  end
  redis.call('HSET', version, unpack(fields))
  return number, version
end

-- Has a new version take the place of the app's versions that are not built yet.
-- Returns their numbers; and an error reply, if one of these moves was refused.
local function take_place(app, number, reason)
  local superseded, refused = supersede_unfinished(app, reason, is_unbuilt)
  redis.call('ZADD', UNFINISHED, number, number)
  return superseded, refused
end
