-- Stands before every script of the store. The moves come from TRANSITIONS in galaxy/domain/states.py.
local TRANSITIONS = cjson.decode([==[@TRANSITIONS@]==])

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ms(value)
  return string.format('%.0f', value)
end

-- Keys of one version, in the order in which the store passes them.
local VERSION, APP, UNFINISHED, DUE, ACTIVITY, ENDED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

local function note(event, number, by, detail)
  redis.call('XADD', ACTIVITY, 'MAXLEN', '~', '1000', '*',
    'event', event, 'version', number, 'by', by, 'detail', detail)
end

-- Moves a version to another state. Returns an error reply when there is no such move, else nil.
local function move(key, member, to, detail)
  local from = redis.call('HGET', key, 'state')
  if not from or not TRANSITIONS[from] or not TRANSITIONS[from][to] then
    return redis.error_reply('TRANSITION ' .. tostring(from) .. ' -> ' .. to)
  end
  redis.call('HSET', key, 'state', to)
  if to ~= 'building' then
    redis.call('HDEL', key, 'step', 'lease_until', 'claim')
  end
  if to ~= 'retrying' then
    redis.call('HDEL', key, 'retry_at')
  end
  local number = redis.call('HGET', key, 'number')
  if to ~= 'building' and to ~= 'queued' and to ~= 'rolling_out' then
    note(to, number, redis.call('HGET', key, 'deployed_by'), detail or '')
  end
  -- No further move but retired: nobody has to look at it any more.
  if not next(TRANSITIONS[to]) or to == 'active' or to == 'retired' then
    redis.call('ZREM', DUE, member)
    redis.call('ZREM', UNFINISHED, number)
    if to ~= 'retired' then
      redis.call('HSET', key, 'finished_at', ms(now_ms()))
    end
  end
  -- The end of a build frees its slot, and a version's end may call for an automatic one: see settle_ends.lua.
  if to == 'built' or to == 'active' or not next(TRANSITIONS[to]) then
    redis.call('RPUSH', ENDED, member .. ' ' .. to .. ' ' .. from)
  end
  return nil
end

-- Ends an attempt that did not succeed: the next one, or the end.
local function end_attempt(member, reason, max_attempts, retry_in_ms, grace_ms)
  local attempt = tonumber(redis.call('HGET', VERSION, 'attempt'))
  local now = now_ms()
  redis.call('HSET', VERSION, 'failure', reason)
  if attempt >= max_attempts then
    local refused = move(VERSION, member, 'build_failed', reason)
    if refused then return refused end
    return {'build_failed', attempt, 0}
  end
  local refused = move(VERSION, member, 'retrying', reason)
  if refused then return refused end
  local retry_at = now + retry_in_ms
  redis.call('HSET', VERSION, 'retry_at', ms(retry_at))
  redis.call('ZADD', DUE, ms(retry_at + grace_ms), member)
  return {'retrying', attempt, retry_in_ms}
end

-- What a holder's token is worth: nil while it holds the lease, else the state it lost it to.
local function lost_to(token)
  local state, current = unpack(redis.call('HMGET', VERSION, 'state', 'token'))
  if state == 'building' and current == token then return nil end
  return state or 'missing'
end
