-- A registry's budget of requests: a bucket of tokens that fills at a steady rate, shared by all workers.
-- Takes one token, and returns 0; or takes none, and returns how long (ms) to wait, `before` others included.
local function take_token(key, rate, burst, before)
  local now = now_ms()
  local tokens, at, paused_until = unpack(redis.call('HMGET', key, 'tokens', 'at', 'paused_until'))
  if paused_until and tonumber(paused_until) > now then return paused_until - now end
  tokens = math.min(burst, (tokens or burst) + (now - (at or now)) * rate / 1000)
  local wait = 0
  if tokens < 1 then wait = math.ceil((1 - tokens + before) * 1000 / rate) else tokens = tokens - 1 end
  redis.call('HSET', key, 'tokens', tostring(tokens), 'at', ms(now))
  redis.call('PEXPIRE', key, 86400000)
  return wait
end
