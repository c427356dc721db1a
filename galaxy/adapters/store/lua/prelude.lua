-- Stands before every script of the store. The moves come from TRANSITIONS in galaxy/domain/states.py.
local TRANSITIONS = {@TRANSITIONS@}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ms(value)
  return string.format('%.0f', value)
end

-- Keys of one version, in the order in which the store passes them. Further keys begin at KEYS[9].
local VERSION, APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS, 1, 8)

-- Keeps what the app's log has to tell of a version until it is there; see galaxy/domain/announcement.py.
local TOLD_OF = {'app', 'version', 'attempt', 'by', 'base_image', 'image', 'image_digest', 'replaced',
  'retry_at', 'warnings'}
local function tell(event, key, detail)
  local facts = redis.call('HMGET', key, 'app', 'number', 'attempt', 'deployed_by', 'base_image', 'image',
    'image_digest', 'replaced', 'retry_at', 'warnings')
  local fields = {'event', event, 'detail', detail}
  for index, name in ipairs(TOLD_OF) do
    if facts[index] then
      table.insert(fields, name)
      table.insert(fields, facts[index])
    end
  end
  redis.call('XADD', OUTBOX, '*', unpack(fields))
  redis.call('SADD', OUTBOX_APPS, facts[1])
end

-- Notes what happened to a version in its app's history.
local function note(event, key, detail)
  local number, by = unpack(redis.call('HMGET', key, 'number', 'deployed_by'))
  redis.call('XADD', ACTIVITY, 'MAXLEN', '~', '1000', '*',
    'event', event, 'version', number, 'by', by, 'detail', detail)
end

-- Moves a version to another state. What is told of it has to be in its record before. Returns an error reply when there is no such move, else nil.
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
    note(to, key, detail or '')
    if to ~= 'retired' then tell(to, key, detail or '') end
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
  local retry_at = now + retry_in_ms
  redis.call('HSET', VERSION, 'retry_at', ms(retry_at))
  local refused = move(VERSION, member, 'retrying', reason)
  if refused then return refused end
  redis.call('ZADD', DUE, ms(retry_at + grace_ms), member)
  return {'retrying', attempt, retry_in_ms}
end

-- What a holder's token is worth: nil while it holds the lease, else the state it lost it to.
local function lost_to(token)
  local state, current = unpack(redis.call('HMGET', VERSION, 'state', 'token'))
  if state == 'building' and current == token then return nil end
  return state or 'missing'
end
