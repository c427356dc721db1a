-- Versions that somebody has to look at, those that are due first. Changes nothing.
-- KEYS 1: due. ARGV 1: limit, 2: prefix of all version keys.
-- Returns a flat list of app, number, state, for how long (ms) it could have been built, and how long ago (ms) its
-- lease ran out; 0 where that does not apply.
local now = now_ms()
local reply = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)) do
  local app, number = string.match(member, '^(%S+) (%d+)$')
  local state, created_at, retry_at, lease_until = unpack(redis.call('HMGET', ARGV[2] .. app .. ':' .. number,
    'state', 'created_at', 'retry_at', 'lease_until'))
  if state then
    local waiting, over = 0, 0
    if state == 'queued' then waiting = now - (created_at or now) end
    if state == 'retrying' then waiting = now - (retry_at or now) end
    if state == 'building' then over = now - (lease_until or now) end
    for _, value in ipairs({app, number, state, ms(math.max(0, waiting)), ms(math.max(0, over))}) do
      table.insert(reply, value)
    end
  end
end
return reply
