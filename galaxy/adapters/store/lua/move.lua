-- include: activity.lua
-- include: outbox.lua
-- include: due.lua
-- Needs: UNFINISHED, DUE, ENDED

-- These come from galaxy/domain/states.py.
local TRANSITIONS = {@TRANSITIONS@}
local UNFINISHED_STATES = {@UNFINISHED@}

-- Moves to these states are neither in the history nor in the log.
local UNRECORDED = {queued = true, building = true, rolling_out = true}

-- Moves a version to another state: the one place where that is done and its reason is recorded.
-- `reason`: why, as `reason_of` makes it, or nil. `fields`: names and values in turn, for the record; or nil.
-- Returns nil, or an error reply when there is no such move.
local function move(version, to, reason, fields)
  local from, app, number = unpack(redis.call('HMGET', version, 'state', 'app', 'number'))
  if not from or not TRANSITIONS[from] or not TRANSITIONS[from][to] then
    return redis.error_reply('TRANSITION ' .. tostring(from) .. ' -> ' .. to)
  end
  redis.call('HDEL', version, 'step', 'lease_until', 'claim', 'retry_at')
  redis.call('HSET', version, 'state', to, unpack(fields or {}))
  -- the field is named `failure` since releases that kept a sentence there
  if reason then redis.call('HSET', version, 'failure', reason) end
  if not UNRECORDED[to] then
    record_activity(to, version, reason)
    if to ~= 'retired' then announce(to, version, reason) end
  end
  local member = app .. ' ' .. number
  if not UNFINISHED_STATES[to] then
    redis.call('ZREM', DUE, member)
    redis.call('ZREM', UNFINISHED, number)
    if to ~= 'retired' then redis.call('HSET', version, 'finished_at', ms(now_ms())) end
  end
  -- The end of a build frees its slot, and a version's end may call for an automatic one: see settle_ends.lua.
  if to == 'built' or to == 'active' or not next(TRANSITIONS[to]) then
    redis.call('RPUSH', ENDED, member .. ' ' .. to .. ' ' .. from)
  end
  return nil
end
